//! Odd but honest caches are served: each test shows what a server that people run really sends.

use crate::support::fake_cache::{FakeCache, Script};
use crate::support::party::{Package, Party, compress, noise};
use crate::support::scene::{LARGE, SMALL, Scene};
use crate::support::service::caches;
use countersign::format::NixHash;
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use sha2::{Digest, Sha256};

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The sha256 of bytes as narinfos write it, in base 32.
fn base32(bytes: &[u8]) -> String {
    NixHash::Sha256(Sha256::digest(bytes).into()).to_nix_nixbase32_string()
}

/// A response in chunks of odd sizes.
fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in bytes.chunks(7919) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    wire
}

/// harmonia: the NAR under its hash with the store hash in a query, and FileHash and FileSize of the NAR itself.
#[test]
fn harmonia_has_a_query_in_its_urls() {
    let scene = Scene::small();
    let Package { core, nar } = &scene.package;
    let url = format!("nar/{}.nar?hash={}", core.nar_hash.nixbase32(), scene.package.hash());
    let file = format!("Compression: none\nFileHash: {}\nFileSize: {}\n", core.nar_hash, nar.len());
    let narinfo = scene.narinfo_with(&scene.package.url("none"), &url).replace("Compression: none\n", &file);
    scene.says(&narinfo);
    scene.cache.script(&format!("/{url}"), Script::Bytes(nar.clone()));
    scene.delivers(Script::Status(404));
    assert!(scene.serve().serves(&scene.package));
}

/// nix-serve: store hash and NAR hash in the URL, no FileHash, no FileSize, no References line where there are
/// none, and NARs in chunks.
#[test]
fn nix_serve_joins_two_hashes_in_its_urls() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("none", size);
        let url = format!("nar/{}-{}.nar", scene.package.hash(), scene.package.core.nar_hash.nixbase32());
        scene.says(&scene.narinfo_with(&scene.package.url("none"), &url).replace("References: \n", ""));
        scene.cache.script(&format!("/{url}"), Script::Wire(chunked(&scene.package.nar)));
        assert!(scene.serve().serves(&scene.package), "{size}");
    }
}

/// attic: hashes in base 16, zstd under the store hash, a System.
#[test]
fn attic_writes_hashes_in_base_16() {
    let scene = Scene::new("zstd", SMALL);
    let digest = scene.package.core.nar_hash.digest();
    let file = scene.bytes();
    let url = format!("nar/{}.nar.zst", scene.package.hash());
    for nar_hash in [HEXLOWER.encode(digest), HEXUPPER.encode(digest)] {
        let narinfo = scene
            .narinfo_with(&scene.package.core.nar_hash.to_string(), &format!("sha256:{nar_hash}"))
            .replace(&scene.package.url("zstd"), &url)
            .replace(
                "References:",
                &format!(
                    "FileHash: sha256:{}\nFileSize: {}\nSystem: x86_64-linux\nReferences:",
                    HEXLOWER.encode(&Sha256::digest(&file)),
                    file.len()
                ),
            );
        scene.says(&narinfo);
        scene.cache.script(&format!("/{url}"), Script::Wire(chunked(&file)));
        assert!(scene.serve().serves(&scene.package), "{nar_hash}");
    }
}

/// Newer tools print hashes as SRI and in base 64, and Nix reads them.
#[test]
fn hashes_may_be_sri_or_base_64() {
    let scene = Scene::small();
    let digest = BASE64.encode(scene.package.core.nar_hash.digest());
    for nar_hash in [format!("sha256-{digest}"), format!("sha256:{digest}")] {
        scene.says(&scene.narinfo_with(&scene.package.core.nar_hash.to_string(), &nar_hash));
        assert!(scene.serve().serves(&scene.package), "{nar_hash}");
    }
}

/// Cachix: `unknown-deriver`, several signatures, and NARs by a redirect to a presigned URL elsewhere.
#[test]
fn cachix_redirects_to_where_its_nars_are() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("zstd", size);
        let file = scene.bytes();
        let elsewhere = FakeCache::start();
        let object = "/bucket/0b1c.nar.zst?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc";
        elsewhere.script(object, Script::Bytes(file.clone()));
        scene.says(&scene.narinfo_with(
            "References: \n",
            &format!(
                "FileHash: {}\nFileSize: {}\nReferences: \nDeriver: unknown-deriver\n",
                base32(&file),
                file.len()
            ),
        ));
        scene.delivers(Script::Redirect(302, format!("{}{object}", elsewhere.url())));
        let served = scene.serve_with(&format!("nar-hosts = [\"127.0.0.1:{}\"]", elsewhere.port()));
        assert!(served.serves(&scene.package), "{size}");
        assert!(!served.narinfo(&scene.package).text().contains("Deriver"));
    }
}

/// S3: NARs on another host than the narinfos (a bucket behind its own name).
#[test]
fn a_bucket_may_hold_the_nars_under_a_name_of_its_own() {
    let scene = Scene::small();
    let bucket = FakeCache::start();
    let headers = [header("x-amz-request-id", "4Z0"), header("Server", "AmazonS3"), header("ETag", "\"9\"")];
    bucket.script("/nar/1.nar", Script::With(headers.to_vec(), scene.package.nar.clone()));
    scene.says(&scene.narinfo_with(&scene.package.url("none"), &format!("{}/nar/1.nar", bucket.url())));
    let served = scene.serve_with(&format!("nar-hosts = [\"127.0.0.1:{}\"]", bucket.port()));
    assert!(served.serves(&scene.package));
}

/// S3 answers 403 for what is not there to those who may not list the bucket: that is "not found", not a
/// cache that fails.
#[test]
fn a_bucket_that_says_403_does_not_have_the_path() {
    let scene = Scene::small();
    let missing = b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>";
    for identity in ["x-amz-request-id: 4Z0\r\nx-amz-id-2: aa/=", "Server: AmazonS3"] {
        let bucket = FakeCache::start();
        let head =
            format!("HTTP/1.1 403 Forbidden\r\n{identity}\r\nContent-Length: {}\r\n\r\n", missing.len());
        bucket.script(&scene.narinfo_path(), Script::Wire([head.as_bytes(), missing].concat()));
        let rest = caches(&[("a", &scene.cache), ("b", &bucket)]);
        let served = scene.serve_from(&rest);
        assert!(served.serves(&scene.package));
        scene.answers(Script::Status(404));
        assert_eq!(scene.serve_from(&rest).narinfo(&scene.package).verdict(), "absent", "{identity}");
        scene.says(&scene.narinfo());
    }
}

/// nginx over a folder: lower- and mixed-case header names, validators, ranges offered.
#[test]
fn header_names_have_no_case() {
    let scene = Scene::new("xz", SMALL);
    let response = |bytes: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nserver: nginx/1.26\r\nDATE: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             cONTENT-tYPE: application/octet-stream\r\ncontent-length: {}\r\netag: \"6a\"\r\n\
             accept-ranges: bytes\r\nx-empty:\r\nconnection: Keep-Alive\r\n\r\n",
            bytes.len()
        );
        [head.as_bytes(), bytes].concat()
    };
    scene.answers(Script::Wire(response(scene.narinfo().as_bytes())));
    scene.delivers(Script::Wire(response(&scene.bytes())));
    assert!(scene.serve().serves(&scene.package));
}

/// `python3 -m http.server` and old proxies: HTTP/1.0, the body ends where the connection does.
#[test]
fn http_1_0_ends_a_body_by_closing() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("none", size);
        let response = |bytes: &[u8]| [b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\n\r\n", bytes].concat();
        scene.answers(Script::Raw(response(scene.narinfo().as_bytes())));
        scene.delivers(Script::Raw(response(&scene.package.nar)));
        assert!(scene.serve().serves(&scene.package), "{size}");
    }
}

/// ncps and other Go servers: everything in chunks, narinfos too; its own signature beside the one it copied.
#[test]
fn ncps_answers_in_chunks_and_adds_its_signature() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("zstd", size);
        let own = Party::new("ncps.example-1");
        let narinfo = scene.package.narinfo("zstd", &[&own, &scene.party, &own]);
        scene.answers(Script::Wire(chunked(narinfo.as_bytes())));
        scene.delivers(Script::Wire(chunked(&scene.bytes())));
        let served = scene.serve();
        assert!(served.serves(&scene.package), "{size}");
        assert!(!served.narinfo(&scene.package).text().contains("ncps"), "an unknown key is not passed on");
    }
}

/// Old uploads carry a signature that is none beside a good one.
#[test]
fn a_malformed_signature_does_not_spoil_a_good_one() {
    let scene = Scene::small();
    for bad in ["nonsense", "a-1:", "a-1:AAAA", ":AAAA", "a 1:AAAA", "a-1:!!!!", ""] {
        scene.says(&scene.narinfo_with("Sig: ", &format!("Sig: {bad}\nSig: ")));
        let served = scene.serve();
        assert!(served.serves(&scene.package), "{bad}");
        assert_eq!(served.narinfo(&scene.package).text().matches("Sig: ").count(), 2, "{bad}");
    }
}

/// Nix sorts references before it signs; a server may list them in any order.
#[test]
fn references_may_be_listed_in_any_order() {
    let all: Vec<Package> = (0..5).map(|n| Package::new(&format!("dependency-{n}"), b"")).collect();
    let package = Package::with_references("thing-1.0", b"contents", &all.iter().collect::<Vec<_>>());
    let scene = Scene::of("none", package);
    let mut listed: Vec<String> = scene.package.core.references.iter().map(ToString::to_string).collect();
    let sorted = listed.join(" ");
    listed.rotate_left(2);
    listed.push(listed[0].clone());
    scene.says(&scene.narinfo_with(&sorted, &listed.join(" ")));
    assert!(scene.serve().serves(&scene.package));
}

/// Old Hydras wrote a System, newer servers write fields that nobody knows yet.
#[test]
fn unknown_fields_and_missing_ones_are_no_fault() {
    let scene = Scene::small();
    for more in [
        "System: x86_64-linux\n",
        "Deriver: unknown-deriver\n",
        "Visibility: public\nXFuture: a b c\nX: \n",
        "CA: \n",
        "Deriver: 5rwxzi7pal3qhpsyfc16gzkh939q1np6-thing-1.0.drv\n",
    ] {
        scene.says(&format!("{}{more}", scene.narinfo()));
        assert!(scene.serve().serves(&scene.package), "{more}");
    }
    scene.says(&scene.narinfo_with("References: \n", ""));
    assert!(scene.serve().serves(&scene.package));
}

/// The first Hydras wrote no Compression, and their files are bzip2.
#[test]
fn no_compression_means_bzip2() {
    for size in [SMALL, LARGE] {
        let scene = Scene::new("bzip2", size);
        scene.says(&scene.narinfo_with("Compression: bzip2\n", ""));
        assert!(scene.serve().serves(&scene.package), "{size}");
        scene.says(&scene.narinfo_with("Compression: bzip2\n", "Compression: \n"));
        assert!(scene.serve().serves(&scene.package), "{size}");
    }
}

/// Nix from 2.35 on writes zstd in several frames, pixz and pxz write xz in several streams, pigz and lbzip2
/// the same of theirs.
#[test]
fn parallel_compressors_write_several_members() {
    for compression in ["zstd", "xz", "gzip", "bzip2"] {
        for size in [SMALL, LARGE] {
            let scene = Scene::new(compression, size);
            let pieces = scene.package.nar.chunks(size / 3);
            scene.delivers(Script::Bytes(pieces.flat_map(|piece| compress(piece, compression)).collect()));
            assert!(scene.serve().serves(&scene.package), "{compression} {size}");
        }
    }
}

/// A cache below a path, as Artifactory and attic have them, with and without the slash at its end.
#[test]
fn a_cache_may_live_below_a_path() {
    let scene = Scene::small();
    let (narinfo, nar) = (scene.narinfo_path(), scene.nar_path());
    let cache = FakeCache::start();
    cache.script(&format!("/api/nix{narinfo}"), Script::Bytes(scene.narinfo().into_bytes()));
    cache.script(&format!("/api/nix{nar}"), Script::Bytes(scene.bytes()));
    for end in ["", "/"] {
        let text = format!("[caches.a]\nurl = \"{}/api/nix{end}\"\n", cache.url());
        assert!(scene.serve_from(&text).serves(&scene.package), "{end:?}");
    }
}

/// A cache in one's own network by its IPv6 address.
#[test]
fn a_cache_may_have_an_ipv6_address() {
    let cache = FakeCache::start_at("[::1]:0".parse().unwrap());
    assert!(cache.url().starts_with("http://[::1]:"));
    let scene = Scene::at(cache, "zstd", Package::new("thing-1.0", &noise(2, SMALL)));
    assert!(scene.serve().serves(&scene.package));
    let url = format!("{}/{}", scene.cache.url(), scene.package.url("zstd"));
    scene.says(&scene.narinfo_with(&scene.package.url("zstd"), &url));
    assert!(scene.serve().serves(&scene.package), "an absolute URL of its own");
}

/// A server that closes every connection after one answer.
#[test]
fn a_cache_may_close_after_every_answer() {
    let scene = Scene::new("xz", LARGE);
    let response = |bytes: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bytes.len());
        [head.as_bytes(), bytes].concat()
    };
    scene.answers(Script::Raw(response(scene.narinfo().as_bytes())));
    scene.delivers(Script::Raw(response(&scene.bytes())));
    assert!(scene.serve().serves(&scene.package));
}
