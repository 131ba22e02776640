# Configurations for the module: some that must evaluate and are compared with tests/nix/golden, the examples, one for
# each assertion, and typos that `countersign check` must catch.
let
  key = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
  acme = "acme-2:EvFjVFj37c1qwXlvs11852ihyqDe7GTujaCLOEuLhfc=";
  policy = {
    signers.nixos.keys = [ key ];
    caches.nixos.url = "https://cache.nixos.org";
    rules = [{ name = "everything"; signatures = [{ at-least = 1; of = [ "nixos" ]; }]; }];
  };
  with' = settings: { services.countersign = { enable = true; settings = policy // settings; }; };
  enabled = more: { services.countersign = { enable = true; } // more; };
  typo = settings: { services.countersign = { enable = true; inherit settings; }; };
in
{
  good = {
    off = { };
    built-in = enabled { };
    enforce = with' { };
    observe = with' { mode = "observe"; };
    keep = enabled { substituters = "keep"; };
    # Whatever is said of keys elsewhere, and however late: the include stands behind it.
    include-last = { lib, ... }: {
      services.countersign.enable = true;
      nix.settings.substituters = [ "https://other.example" ];
      nix.settings.trusted-public-keys = [ acme ];
      nix.extraOptions = lib.mkAfter "extra-trusted-public-keys = ${acme}";
    };
    # Every option of the module and every typed key, and some that are not typed.
    everything = {
      networking.proxy = {
        noProxy = "127.0.0.1,internal.example";
        envVars = { https_proxy = "http://proxy:3128"; no_proxy = "127.0.0.1,internal.example"; };
      };
      services.countersign = {
        enable = true;
        checkConfig = true;
        substituters = "exclusive";
        upload.enable = true;
        breakGlass = {
          substituters = [ "https://cache.nixos.org" "https://cache.acme.example" ];
          trustedPublicKeys = [ key acme ];
        };
        settings = {
          listen = [ "127.0.0.1:8419" "[::1]:8419" "unix:/run/countersign.sock" ];
          mode = "enforce";
          state-directory = "/var/lib/countersign";
          when-refused = "fail";
          when-undecided = "fail";
          decision-timeout = "20s";
          hosts = [ "cache.internal.example" ];
          limits.connections = 1024;
          serving.verify-before-sending = "whole";
          evidence.keep = "30d";
          signers = {
            nixos.keys = [ key ];
            acme = {
              keys = [
                acme
                {
                  key = "acme-1:QXTK5pd1HvHEpcUaWqh8ALrsCCURTZ7y8b1+y8kFstc=";
                  not-before = "2025-01-01T00:00:00Z";
                  not-after = "2037-06-01T00:00:00Z";
                }
                { key = "acme-0:HafzEG76b4lNeDJ6SbzlqKjIl4+q2tj5XgC+hS0ptKg="; revoked = "laptop stolen"; }
              ];
              may-vouch-for = [ "acme-*" ];
            };
            mirror = {
              keys = [ "rebuilder-1:ess5ckeFMMbx1T5C9ia4ofjvMJEqPljjTVkPUL89sUc=" ];
              derives-from = [ "nixos" ];
              suspended = "being looked at";
            };
          };
          caches = {
            nixos = {
              url = "https://cache.nixos.org";
              operator = "nixos-foundation";
              role = "source";
              priority = 40;
              claim-timeout = "5s";
              accept-signers = [ "nixos" ];
              nar-hosts = [ "nars.example.org" ];
            };
            acme = {
              url = "https://cache.acme.example";
              credentials-file = "/run/secrets/netrc";
              ca-file = "/etc/ssl/certs/acme.pem";
            };
          };
          rules = [
            {
              name = "ours";
              packages = [ "acme-*" ];
              signatures = [{ at-least = 1; of = [ "acme" ]; }];
              operators = 1;
              dissent = "refuse";
              must-answer = [ "acme" ];
              content-addressed = "ignore";
            }
            {
              name = "everything else";
              signatures = [{ at-least = 1; of = [ "nixos" ]; }];
              dissent.prefer = [ "nixos" ];
            }
          ];
          exceptions = [
            { packages = [ "linux-firmware-*" ]; rule = "everything else"; until = "2037-01-31"; why = "not reproducible"; }
            {
              core = {
                path = "/nix/store/6s67ppsc5rawxx0pd1rycdznbf39zbx0-tool-1.2";
                nar-hash = "sha256:0gsyc3g0w8wacg97wwm1iirigsl96k36iijdxiadn8cqcjmx18y1";
              };
              rule = "everything else";
              until = "2037-01-31";
              why = "looked at by hand";
            }
          ];
          upload = {
            signing-key-files = [ "/run/secrets/acme-2.sec" "/run/secrets/acme-3.sec" ];
            spool-directory = "/srv/spool/countersign";
            jobs = 4;
            give-up-after = "7d";
            sign-remote-builds = false;
            inputs = "endorsed";
          };
          destinations = {
            bucket = {
              url = "s3://acme-cache?region=eu-central-1&endpoint=https://s3.acme.example";
              packages = [ "acme-*" ];
              compression = "zstd";
              level = 3;
              publish = "nars";
              skip-vouched-by = [ "nixos" ];
              credentials-file = "/run/secrets/s3";
            };
            directory = { url = "file:///srv/cache"; packages = [ "*" ]; };
          };
        };
      };
    };
  };

  examples = {
    observe-only = ../../examples/nixos/observe-only.nix;
    two-parties = ../../examples/nixos/two-parties.nix;
    company = ../../examples/nixos/company.nix;
  };

  bad = {
    cache-secret-in-store = {
      says = "settings.caches.nixos.credentials-file is /nix/store/";
      module = with' { caches.nixos = { url = "https://c.example"; credentials-file = "/nix/store/${key}-netrc"; }; };
    };
    destination-secret-in-store = {
      says = "settings.destinations.d.credentials-file is /nix/store/";
      module = with' { destinations.d = { url = "s3://b"; packages = [ "*" ]; credentials-file = "/nix/store/x-s3"; }; };
    };
    signing-key-in-store = {
      says = "settings.upload.signing-key-files is /nix/store/";
      module = with' { upload.signing-key-files = [ "/nix/store/x-key" ]; };
    };
    destinations-without-uploader = {
      says = "upload.enable is false";
      module = enabled { upload.enable = false; settings.destinations.d = { url = "s3://b"; packages = [ "*" ]; }; };
    };
    another-hook = {
      says = "another than countersign's is configured: /bin/other";
      module = (enabled { upload.enable = true; }) // { nix.settings.post-build-hook = "/bin/other"; };
    };
    another-hook-in-text = {
      says = "Nix runs one post-build-hook";
      module = (enabled { upload.enable = true; }) // { nix.extraOptions = "post-build-hook = /bin/other"; };
    };
    without-nix = { says = "needs nix.enable"; module = (enabled { }) // { nix.enable = false; }; };
    nowhere-to-ask = { says = "has no IP address"; module = with' { listen = [ "unix:/run/c.sock" ]; }; };
    through-the-proxy = {
      says = "Add 127.0.0.1 to it";
      module = (enabled { }) // { networking.proxy.noProxy = "internal.example"; };
    };
    without-signatures = { says = "require-sigs is false"; module = (enabled { }) // { nix.settings.require-sigs = false; }; };
    another-substituter = {
      says = "nix.settings.extra-substituters";
      module = (enabled { }) // { nix.settings.extra-substituters = [ "https://other.example" ]; };
    };
    another-key = {
      says = "nix.settings.extra-trusted-public-keys";
      module = (enabled { }) // { nix.settings.extra-trusted-public-keys = [ acme ]; };
    };
    a-trusted-substituter = {
      says = "nix.settings.trusted-substituters";
      module = (enabled { }) // { nix.settings.trusted-substituters = [ "https://other.example" ]; };
    };
  };

  warned.enforced-beside-others = { says = "Only \"exclusive\" enforces the policy"; module = enabled { substituters = "prepend"; }; };

  # What the build must say, by `countersign check`.
  typos = {
    signer = {
      says = "did you mean \"nixos\"?";
      module = typo (policy // { rules = [{ name = "all"; signatures = [{ at-least = 1; of = [ "nixso" ]; }]; }]; });
    };
    cache = {
      says = "did you mean \"nixos\"?";
      module = typo (policy // {
        rules = [{ name = "all"; signatures = [{ at-least = 1; of = [ "nixos" ]; }]; must-answer = [ "nixs" ]; }];
      });
    };
    rule = {
      says = "did you mean \"everything\"?";
      module = typo (policy // {
        exceptions = [{ packages = [ "a-*" ]; rule = "evrything"; until = "2037-01-31"; why = "w"; }];
      });
    };
    key = { says = "did you mean `when-refused`?"; module = typo (policy // { when-refsed = "build"; }); };
    section = { says = "did you mean `evidence`?"; module = typo (policy // { evidnce.keep = "1d"; }); };
  };
}
