use super::*;
use proptest::prelude::*;

const OUT: &str = "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-hello-2.12.1";
const DEV: &str = "/nix/store/0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-hello-2.12.1-dev";

fn read(text: &str, most: usize) -> Vec<String> {
    let store = StoreDir::default();
    outputs(text.as_bytes(), &store, most).iter().map(|path| path.to_absolute_path(&store)).collect()
}

#[test]
fn the_first_list_gives_the_outputs() {
    let tail = r#",[("/nix/store/0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-in.drv",["out"])],[],"x86_64-linux","/bin/sh",[],[])"#;
    let list = format!(r#"[("dev","{DEV}","",""),("out","{OUT}","","")]"#);
    assert_eq!(read(&format!("Derive({list}{tail}"), 64), [DEV, OUT]);
    assert_eq!(read(&format!("Derive({list}{tail}"), 1), [DEV]);
    assert_eq!(read(&format!("Derive({list}{tail}"), 0), [""; 0]);
    assert_eq!(read(&format!(r#"DrvWithVersion("xp-dyn-drv",{list}{tail}"#), 64), [DEV, OUT]);
    // Fixed output: an algorithm and a hash.
    assert_eq!(read(&format!(r#"Derive([("out","{OUT}","r:sha256","00ff")],[]"#), 64), [OUT]);
    // Not known before the build, beside one in another store, beside one that is escaped for no reason.
    let odd = format!(r#"Derive([("a","","r:sha256",""),("b","/other{OUT}","",""),("c\"\n","\{OUT}","","")"#);
    assert_eq!(read(&odd, 64), [OUT]);
}

#[test]
fn what_is_damaged_gives_what_comes_before() {
    let text = format!(r#"Derive([("dev","{DEV}","",""),("out","{OUT}","","")]"#);
    for length in 0..text.len() {
        let found = read(&text[..length], 64);
        assert!(
            found.len() <= 2 && found.iter().zip([DEV, OUT]).all(|(is, should)| is == should),
            "{found:?}"
        );
    }
    for other in
        ["", "Derive", "Derive([])", "Derive([(\"out\")])", "#!/bin/sh", "Derive([(\"", "DrvWithVersion(\"\\"]
    {
        assert_eq!(read(other, 64), [""; 0], "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_odd(bytes: Vec<u8>) {
        let mut text = b"Derive([(\"".to_vec();
        text.extend(bytes);
        prop_assert!(outputs(&text, &StoreDir::default(), 3).len() <= 3);
    }
}
