# What Nix is told: whom it asks, which key it trusts, and the hook.
#
# The machine key is made on the first start and is known to no evaluation. A unit that runs as root writes it into a
# file that nix.conf includes (units.nix): last of all, so that no other key setting stands behind it. Until that file
# is there, exclusive trusts no key at all, and Nix builds from source; nothing is let through.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkForce mkIf mkMerge mkOrder;
  cfg = config.services.countersign;
  nix = config.nix.settings;
  proxy = config.networking.proxy;
  isTold = cfg.substituters != "keep";
  isExclusive = cfg.substituters == "exclusive";

  # Where this machine reaches us: the first address that is no socket file.
  addresses = builtins.filter (address: !lib.hasPrefix "unix:" address) cfg.settings.listen;
  local = address:
    if lib.hasPrefix "0.0.0.0:" address then "127.0.0.1:${lib.removePrefix "0.0.0.0:" address}"
    else if lib.hasPrefix "[::]:" address then "[::1]:${lib.removePrefix "[::]:" address}"
    else address;
  url = "http://${local (builtins.head addresses)}";

  others = builtins.filter (name: (nix.${name} or [ ]) != [ ])
    [ "extra-substituters" "extra-trusted-public-keys" "extra-trusted-substituters" "trusted-substituters" ];
in
{
  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [{
        assertion = config.nix.enable;
        message = "services.countersign needs nix.enable: nix.conf is where Nix is told of it.";
      }];
    }

    (mkIf isTold {
      nix.settings = {
        # Nix remembers misses for an hour and hits for a month otherwise; asking us again costs next to nothing, and
        # verdicts change.
        narinfo-cache-negative-ttl = mkDefault 0;
        narinfo-cache-positive-ttl = mkDefault 300;
      };
      nix.extraOptions = mkOrder 5000 ''
        # Written by countersign-trust.service and countersign-break-glass.service: the last word on keys.
        !include /run/countersign-trust/nix.conf
        !include /run/countersign-trust/break-glass.conf
      '';
      # Without this a proxy in the daemon's environment would be asked for 127.0.0.1.
      systemd.services.nix-daemon.environment = mkIf (proxy.noProxy == null) { no_proxy = "127.0.0.1,::1,localhost"; };

      assertions = [
        {
          assertion = addresses != [ ];
          message = ''
            services.countersign.settings.listen has no IP address, and Nix asks at nothing else. Add "127.0.0.1:8419",
            or set services.countersign.substituters = "keep".
          '';
        }
        {
          assertion = proxy.noProxy == null || lib.hasInfix "127.0.0.1" proxy.noProxy;
          message = ''
            networking.proxy.noProxy is "${toString proxy.noProxy}": the Nix daemon would look for countersign through the
            proxy. Add 127.0.0.1 to it.
          '';
        }
        {
          assertion = nix.require-sigs or true;
          message = ''
            nix.settings.require-sigs is false: Nix would take any path, countersigned or not. Take it out.
          '';
        }
      ];
    })

    (mkIf isExclusive {
      nix.settings = {
        substituters = mkForce [ url ];
        # None but the one in the included file.
        trusted-public-keys = mkForce [ ];
      };
      assertions = [{
        assertion = others == [ ];
        message = ''
          nix.settings.${toString others}: Nix would ask or trust others than countersign, and the policy would be
          gone around. Name them under services.countersign.settings.caches and .signers instead, or set
          services.countersign.substituters = "prepend".
        '';
      }];
    })

    (mkIf (cfg.substituters == "prepend") {
      nix.settings.substituters = lib.mkBefore [ url ];
    })

    (mkIf cfg.upload.enable {
      # By default alone, so that another hook is seen (the assertion in module.nix) and not silenced.
      nix.settings.post-build-hook = mkDefault "${cfg.package}/bin/countersign-hook";
      systemd.services.nix-daemon.environment = mkIf (cfg.settings.upload.spool-directory != "/var/spool/countersign") {
        COUNTERSIGN_SPOOL = cfg.settings.upload.spool-directory;
      };
    })
  ]);
}
