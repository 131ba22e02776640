# services.countersign: the policy, what Nix is told, and the units. nixos/README.md tells how to live with it.
{ config, lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkIf mkOption types;
  cfg = config.services.countersign;
  format = pkgs.formats.toml { };
  files = import ./config-file.nix { inherit lib pkgs format cfg; };
  isEnforcing = cfg.settings.mode == "enforce";
  ourHook = "${cfg.package}/bin/countersign-hook";
in
{
  imports = [ ./nix-conf.nix ./units.nix ];

  options.services.countersign = {
    enable = mkEnableOption "countersign: nothing enters the Nix store on one party's word";

    package = mkOption {
      type = types.package;
      default = pkgs.countersign or (pkgs.callPackage ./package.nix { });
      defaultText = literalExpression "pkgs.countersign or (pkgs.callPackage ./package.nix { })";
      description = "The package with countersign and countersign-hook.";
    };

    settings = mkOption {
      type = import ./settings.nix { inherit lib format; };
      default = { };
      example = literalExpression ''
        {
          signers.nixos.keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
          caches.nixos.url = "https://cache.nixos.org";
          rules = [{ name = "everything"; signatures = [{ at-least = 1; of = [ "nixos" ]; }]; }];
        }
      '';
      description = ''
        countersign's configuration, key for key as in examples/countersign.toml. Without signers, caches and rules the
        built-in policy holds: cache.nixos.org, its key, one signature, dissent refused.
      '';
    };

    checkConfig = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether `countersign check` reads the configuration when the system is built, so that a typo fails the build. Not
        done where the program is for another machine than builds the system.
      '';
    };

    substituters = mkOption {
      type = types.enum [ "exclusive" "prepend" "keep" ];
      default = if isEnforcing then "exclusive" else "prepend";
      defaultText = literalExpression ''if settings.mode == "enforce" then "exclusive" else "prepend"'';
      description = ''
        What Nix is told. "exclusive": it asks countersign alone and trusts the machine key alone; this is what enforces
        the policy. "prepend": countersign is asked first and its key is trusted beside the others, so that the others
        still answer. "keep": nothing is changed, and nix.conf is yours.
      '';
    };

    upload.enable = mkOption {
      type = types.bool;
      default = cfg.settings.destinations != { };
      defaultText = literalExpression "settings.destinations != { }";
      description = ''
        Whether what is built here is reported by Nix's post-build hook, noted and compared with what the caches claim,
        and sent to the destinations, if there are any.
      '';
    };

    breakGlass = {
      substituters = mkOption {
        type = types.listOf types.str;
        default = [ "https://cache.nixos.org" ];
        description = "The caches that plain Nix asks while `countersign-break-glass.service` is started.";
      };
      trustedPublicKeys = mkOption {
        type = types.listOf types.str;
        default = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
        description = "The keys that it trusts then.";
      };
    };

    generated = mkOption {
      type = types.raw;
      readOnly = true;
      internal = true;
      default = files;
      description = "The files that the units read.";
    };
  };

  config = mkIf cfg.enable {
    # For the commands as well: explain, status, doctor and the others need no --config.
    environment.systemPackages = [ cfg.package ];
    environment.etc."countersign/config.toml".source = files.serve;

    assertions =
      map
        (secret: {
          assertion = !lib.hasPrefix "${builtins.storeDir}/" secret.path;
          message = ''
            services.countersign.settings.${secret.name} is ${secret.path}, a path of the Nix store, which every user can
            read. Name a file of the running machine in quotes, as sops-nix or agenix make it: "/run/secrets/…".
          '';
        })
        files.secrets
      ++ [
        {
          assertion = cfg.upload.enable || cfg.settings.destinations == { };
          message = ''
            services.countersign.settings.destinations are configured and services.countersign.upload.enable is false, so
            nothing would ever go there. Take out one of the two.
          '';
        }
        {
          assertion = !cfg.upload.enable
            || (config.nix.settings.post-build-hook == ourHook && !lib.hasInfix "post-build-hook" config.nix.extraOptions);
          message = ''
            Nix runs one post-build-hook, and another than countersign's is configured: ${
              toString (config.nix.settings.post-build-hook or "in nix.extraOptions")}. countersign does not silence
            it. Have that program start ${ourHook} too and set services.countersign.upload.enable = false with a
            countersign-upload.service of your own, or take it out of nix.settings and nix.extraOptions.
          '';
        }
      ];

    warnings = lib.optional (isEnforcing && cfg.substituters != "exclusive") ''
      services.countersign.settings.mode is "enforce" and substituters is "${cfg.substituters}": Nix still asks and trusts
      others, so whatever countersign refuses may come from them. Only "exclusive" enforces the policy.
    '';
  };
}
