# What both services may not do. `systemd-analyze security` gives each 1.1 or so; tests/nix/module holds it below 1.5.
{
  # Privileges.
  CapabilityBoundingSet = "";
  AmbientCapabilities = "";
  NoNewPrivileges = true;
  PrivateUsers = true;
  UMask = "0077";
  RestrictSUIDSGID = true;
  LockPersonality = true;
  MemoryDenyWriteExecute = true;
  RemoveIPC = true;
  RestrictRealtime = true;
  RestrictNamespaces = true;
  KeyringMode = "private";

  # Files.
  ProtectSystem = "strict";
  ProtectHome = true;
  PrivateTmp = true;
  PrivateMounts = true;
  # Nothing is started from where something may be written; each place that is written is named, since for a directory
  # above it (systemd 252) this would undo ProtectSystem=.
  NoExecPaths = [ "/dev/shm" "/tmp" "/var/tmp" "/var/lib/countersign" ];
  PrivateDevices = true;
  DevicePolicy = "closed";
  DeviceAllow = "";
  ProcSubset = "pid";
  ProtectProc = "invisible";

  # The kernel.
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;

  # The network. AF_UNIX is for the service manager, for the Nix daemon, and for the name services that resolve through
  # a socket (nscd, resolved). glibc asks the kernel over AF_NETLINK which kinds of addresses there are, and takes both
  # for given where it may not.
  RestrictAddressFamilies = [ "AF_UNIX" "AF_INET" "AF_INET6" ];

  # Calls.
  SystemCallArchitectures = "native";
  SystemCallFilter = [ "@system-service" "~@privileged @resources" ];
  SystemCallErrorNumber = "EPERM";

  LimitCORE = 0;
  LimitNOFILE = 65536;
}
