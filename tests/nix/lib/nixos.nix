# The options of NixOS that nixos/ sets or reads, with NixOS' own defaults where the module meets them
# (nixpkgs nixos/modules/config/nix.nix, system/boot/systemd.nix). Anything else is an option that does not exist.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkAfter mkOption types;
  option = type: default: mkOption { inherit type default; };
  free = types.submodule { freeformType = types.attrsOf atom; };
  atom = types.oneOf [ types.bool types.int types.str types.path types.package (types.listOf (types.either types.str types.path)) ]
    // { name = "systemd option"; };
  names = option (types.listOf types.str) [ ];
  unit = kind: types.submodule {
    options = {
      description = option types.str "";
      documentation = names;
      enable = option types.bool true;
      wantedBy = names;
      requiredBy = names;
      wants = names;
      requires = names;
      bindsTo = names;
      partOf = names;
      conflicts = names;
      after = names;
      before = names;
      unitConfig = option free { };
    } // kind;
  };
in
{
  options = {
    assertions = option (types.listOf types.raw) [ ];
    warnings = option (types.listOf types.str) [ ];

    environment.systemPackages = option (types.listOf types.package) [ ];
    environment.etc = option
      (types.attrsOf (types.submodule {
        options = {
          source = mkOption { type = types.path; };
          text = option (types.nullOr types.lines) null;
          mode = option types.str "symlink";
        };
      }))
      { };

    users.users = option
      (types.attrsOf (types.submodule {
        options = {
          isSystemUser = option types.bool false;
          isNormalUser = option types.bool false;
          group = option types.str "";
          extraGroups = names;
          description = option types.str "";
        };
      }))
      { };
    users.groups = option (types.attrsOf (types.submodule { options.gid = option (types.nullOr types.int) null; })) { };

    networking.proxy.noProxy = option (types.nullOr types.str) null;
    networking.proxy.envVars = option (types.attrsOf types.str) { };
    networking.firewall.allowedTCPPorts = option (types.listOf types.int) [ ];
    networking.hostName = option types.str "nixos";
    system.stateVersion = option types.str "26.05";
    virtualisation.writableStore = option types.bool false;
    virtualisation.additionalPaths = option (types.listOf types.package) [ ];

    nix.enable = option types.bool true;
    nix.extraOptions = option types.lines "";
    nix.settings = option
      (types.submodule {
        freeformType = types.attrsOf atom;
        options = {
          substituters = mkOption { type = types.listOf types.str; };
          trusted-public-keys = mkOption { type = types.listOf types.str; };
          require-sigs = option types.bool true;
          trusted-users = option (types.listOf types.str) [ "root" ];
          trusted-substituters = option (types.listOf types.str) [ ];
          extra-substituters = option (types.listOf types.str) [ ];
        };
      })
      { };

    systemd.package = option types.package pkgs.systemd;
    systemd.tmpfiles.rules = option (types.listOf types.str) [ ];
    systemd.services = option
      (types.attrsOf (unit {
        environment = option (types.attrsOf (types.nullOr types.str)) { };
        path = option (types.listOf types.package) [ ];
        serviceConfig = option free { };
        restartTriggers = option (types.listOf (types.either types.str types.package)) [ ];
        reloadTriggers = option (types.listOf (types.either types.str types.package)) [ ];
        script = option types.lines "";
      }))
      { };
    systemd.sockets = option
      (types.attrsOf (unit { listenStreams = names; socketConfig = option free { }; }))
      { };
    systemd.paths = option (types.attrsOf (unit { pathConfig = option free { }; })) { };
  };

  config = {
    # As NixOS has it: behind whatever else is set, unless somebody forces.
    nix.settings.substituters = mkAfter [ "https://cache.nixos.org/" ];
    nix.settings.trusted-public-keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
    systemd.services.nix-daemon.environment = config.networking.proxy.envVars;
  };
}
