# The units. A fixed user, not DynamicUser: the uploader and the service share the ledger in the state directory, the
# spool belongs to the uploader from one boot to the next (the hook, as root, gives what it writes to its owner), and
# members of the group may use the control socket. A user whose number changes would own none of these.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkIf mkMerge;
  cfg = config.services.countersign;
  files = cfg.generated;
  program = lib.getExe cfg.package;
  hardening = import ./hardening.nix;
  isTold = cfg.substituters != "keep";
  spool = cfg.settings.upload.spool-directory;

  common = hardening // {
    Type = "notify";
    User = "countersign";
    Group = "countersign";
    StateDirectory = "countersign";
    # The public keys in it are for all to read; everything else has a mode of its own.
    StateDirectoryMode = "0755";
    Restart = "on-failure";
    RestartSec = 5;
  };

  # Directories that are destinations, written by the uploader.
  directories = lib.concatLists (lib.mapAttrsToList
    (_: to: lib.optional (lib.hasPrefix "file://" to.url) (lib.removePrefix "file://" to.url))
    cfg.settings.destinations);

  # What the two oneshots that write for Nix have in common. They run as root, since Nix reads as root what they write.
  forNix = {
    Type = "oneshot";
    RuntimeDirectory = "countersign-trust";
    RuntimeDirectoryMode = "0755";
    RuntimeDirectoryPreserve = true;
    UMask = "0022";
    CapabilityBoundingSet = "";
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateTmp = true;
    ProtectHome = true;
    ProtectSystem = "strict";
    # Which that leaves writable beside a runtime directory (systemd 252).
    ReadOnlyPaths = "/run";
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    NoExecPaths = [ "/dev/shm" "/run/countersign-trust" "/tmp" "/var/tmp" ];
    PrivateNetwork = true;
    RestrictAddressFamilies = [ "AF_UNIX" ];
    SystemCallArchitectures = "native";
    SystemCallFilter = "@system-service";
    SystemCallErrorNumber = "EPERM";
    TimeoutStartSec = 60;
  };
  plain = pkgs.writeText "countersign-break-glass.conf" ''
    # countersign-break-glass.service is started: the policy is not in force.
    substituters = ${lib.concatStringsSep " " cfg.breakGlass.substituters}
    trusted-public-keys = ${lib.concatStringsSep " " cfg.breakGlass.trustedPublicKeys}
  '';
  # The script is the same for other distributions (examples/systemd).
  trust = pkgs.writeShellScript "countersign-trust" (builtins.readFile ../examples/systemd/countersign-trust);
  glass = pkgs.writeShellScript "countersign-break-glass" (builtins.readFile ../examples/systemd/countersign-break-glass);
in
{
  config = mkIf cfg.enable (mkMerge [
    {
      users.users.countersign = { isSystemUser = true; group = "countersign"; description = "countersign"; };
      users.groups.countersign = { };

      systemd.sockets.countersign = {
        description = "countersign, where Nix asks";
        wantedBy = [ "sockets.target" ];
        listenStreams = map (lib.removePrefix "unix:") cfg.settings.listen;
        # Always held: whoever comes while the service restarts waits in here.
        socketConfig = { Backlog = 1024; NoDelay = true; };
      };

      systemd.services.countersign = {
        description = "countersign: nothing enters the Nix store on one party's word";
        documentation = [ "man:countersign(1)" ];
        wantedBy = [ "multi-user.target" ];
        requires = [ "countersign.socket" ];
        # Not behind network-online.target: without a network it answers as well, and Nix waits for it.
        after = [ "countersign.socket" "network.target" ];
        environment = config.networking.proxy.envVars;
        # The file keeps its name, so that a new one is a reload; what only a start reads is a restart.
        reloadTriggers = [ files.serve ];
        restartTriggers = [ (builtins.toJSON (cfg.settings.limits or { })) ];
        serviceConfig = common // {
          ExecStart = "${program} --config /etc/countersign/config.toml serve --without-upload";
          ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
          WatchdogSec = 30;
          RuntimeDirectory = "countersign";
          NoExecPaths = hardening.NoExecPaths ++ [ "/run/countersign" ];
          LoadCredential = files.serveSecrets;
        };
      };
    }

    (mkIf cfg.upload.enable {
      systemd.tmpfiles.rules = [ "d ${spool} 0755 countersign countersign -" ];

      systemd.services.countersign-upload = {
        description = "countersign's uploader: signs and publishes what is built here";
        documentation = [ "man:countersign-upload(1)" ];
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        # The first start of the service makes the machine key, which may not sign uploads.
        after = [ "countersign.service" "network-online.target" "nix-daemon.socket" ];
        environment = config.networking.proxy.envVars;
        serviceConfig = common // {
          ExecStart = "${program} --config ${files.upload} upload";
          WatchdogSec = 120;
          LoadCredential = files.uploadSecrets;
          ReadWritePaths = [ spool ] ++ directories;
          NoExecPaths = hardening.NoExecPaths ++ [ spool ] ++ directories;
        };
      };
    })

    (mkIf isTold {
      # The first start, a rotation and a lost state directory all end here. A unit for each key: systemd (252) does not
      # see a file replaced while the same unit waits for another one that is not there yet.
      systemd.paths = lib.listToAttrs (map (mode: lib.nameValuePair "countersign-${mode}-key" {
        description = "countersign's ${mode} key has changed";
        wantedBy = [ "multi-user.target" ];
        pathConfig = {
          PathChanged = "/var/lib/countersign/${mode}.pub";
          Unit = "countersign-trust.service";
        };
      }) [ "machine" "observe" ]);
      systemd.services.countersign-trust = {
        description = "tell Nix which key countersign has";
        wantedBy = [ "multi-user.target" ];
        wants = [ "countersign.service" ];
        after = [ "countersign.service" ];
        before = [ "nix-daemon.service" ];
        # Started too often for systemd's taste, it would be the end of the units above too, and of their key.
        unitConfig.StartLimitIntervalSec = 0;
        path = [ cfg.package config.systemd.package pkgs.coreutils ];
        environment.COUNTERSIGN_CONFIG = "/etc/countersign/config.toml";
        serviceConfig = forNix // {
          ExecStart = "${trust} ${if cfg.substituters == "exclusive" then "--alone" else "--beside"}";
        };
      };
      # The daemon is started when somebody asks it; it then waits for the key, and goes on without.
      systemd.services.nix-daemon = {
        wants = [ "countersign-trust.service" ];
        after = [ "countersign-trust.service" ];
      };

      systemd.services.countersign-break-glass = {
        description = "let plain Nix through, until this is stopped or the machine starts again";
        path = [ config.systemd.package pkgs.coreutils ];
        serviceConfig = forNix // {
          RemainAfterExit = true;
          ExecStart = "${glass} ${plain}";
          ExecStop = glass;
        };
      };
    })
  ]);
}
