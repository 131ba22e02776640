//! From a request's path to what is asked for. **Pure**: handlers get a [`Route`], never a string.

use crate::format::{HashPart, NarHash, StorePath};

/// What a request on the cache port asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/nix-cache-info`
    CacheInfo,
    /// `/healthz`
    Health,
    /// `/log/DERIVATION`: what a build said, which nobody signs.
    Log(StorePath),
    /// `/HASH.narinfo`
    Narinfo(HashPart),
    /// `/nar/HASH-NARHASH.nar`: what is needed to judge the NAR again, with no state.
    Nar {
        /// The hash part of its store path.
        path: HashPart,
        /// The hash that its bytes have.
        nar_hash: NarHash,
    },
    /// Anything else: not found.
    Unknown,
}

impl Route {
    /// The route of a path. Nothing is decoded or normalised: an escaped or doubled slash is unknown.
    pub fn of(path: &str) -> Self {
        match path {
            "/nix-cache-info" => return Self::CacheInfo,
            "/healthz" => return Self::Health,
            _ => {}
        }
        let narinfo = path.strip_prefix('/').and_then(|p| p.strip_suffix(".narinfo"));
        if let Some(hash) = narinfo.and_then(|hash| HashPart::parse(hash).ok()) {
            return Self::Narinfo(hash);
        }
        let log = path.strip_prefix("/log/").filter(|name| name.ends_with(".drv"));
        if let Some(derivation) = log.and_then(|name| StorePath::from_base_name(name).ok()) {
            return Self::Log(derivation);
        }
        let nar = path.strip_prefix("/nar/").and_then(|p| p.strip_suffix(".nar"));
        match nar
            .and_then(|name| name.split_once('-'))
            .map(|(p, h)| (HashPart::parse(p), NarHash::parse_nixbase32(h)))
        {
            Some((Ok(path), Ok(nar_hash))) => Self::Nar { path, nar_hash },
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::nar_url;

    const PATH: &str = "syd87l2rxw8cbsxmxl853h0r6pdwhwjr";
    const NAR: &str = "1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0";

    #[test]
    fn the_url_that_we_print_is_the_url_that_we_read() {
        let (path, nar_hash) = (HashPart::parse(PATH).unwrap(), NarHash::parse_nixbase32(NAR).unwrap());
        assert_eq!(Route::of(&format!("/{}", nar_url(path, &nar_hash))), Route::Nar { path, nar_hash });
    }

    #[test]
    fn the_plain_routes_are_known() {
        assert_eq!(Route::of("/nix-cache-info"), Route::CacheInfo);
        assert_eq!(Route::of("/healthz"), Route::Health);
        assert_eq!(Route::of(&format!("/{PATH}.narinfo")), Route::Narinfo(HashPart::parse(PATH).unwrap()));
    }

    #[test]
    fn logs_are_of_derivations() {
        let name = format!("{PATH}-curl-7.82.0.drv");
        assert_eq!(Route::of(&format!("/log/{name}")), Route::Log(StorePath::from_base_name(&name).unwrap()));
        for path in [format!("/log/{PATH}-curl-7.82.0"), format!("/log/../{name}"), format!("/log/{name}/x")]
        {
            assert_eq!(Route::of(&path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        for path in [
            "/",
            "",
            "//nix-cache-info",
            "/nix-cache-info/",
            "/SYD87L2RXW8CBSXMXL853H0R6PDWHWJR.narinfo",
            "/syd87l2rxw8cbsxmxl853h0r6pdwhwj.narinfo",
            "/syd87l2rxw8cbsxmxl853h0r6pdwhwjr.narinfo.narinfo",
            "/eyd87l2rxw8cbsxmxl853h0r6pdwhwjr.narinfo",
            "/./syd87l2rxw8cbsxmxl853h0r6pdwhwjr.narinfo",
            "/%73yd87l2rxw8cbsxmxl853h0r6pdwhwjr.narinfo",
            "/nar/syd87l2rxw8cbsxmxl853h0r6pdwhwjr.nar",
            "/nar/../nix-cache-info",
            "/nar/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0.nar.xz",
            "/nar/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-3b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0.nar",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }
}
