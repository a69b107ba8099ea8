//! Shows the notes of an image as JSON (solo5-abi sections 7.2 and 7.3).

use std::fmt::Write as _;

use solo5_abi::constants::{AbiTarget, MANIFEST_VERSION};
use solo5_abi::manifest::{DeviceType, ManifestEntry};
use solo5_abi::note::Abi1;

/// What an image was linked for.
#[must_use]
pub fn abi_json(abi: Abi1) -> String {
    let target = AbiTarget::from_raw(abi.target).map_or("unknown", AbiTarget::name);
    let version = abi.version;
    format!(
        "{{\n  \"type\": \"solo5.abi\",\n  \"target\": \"{target}\",\n  \"version\": {version}\n}}\n"
    )
}

/// The devices that an image declares, in a form that `gen-manifest` takes.
#[must_use]
pub fn manifest_json(entries: &[ManifestEntry]) -> String {
    let mut text = format!(
        "{{\n  \"type\": \"solo5.manifest\",\n  \"version\": {MANIFEST_VERSION},\n  \"devices\": ["
    );
    let devices = entries
        .iter()
        .filter(|entry| entry.device_type() != DeviceType::Reserved);
    for (index, entry) in devices.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (name, kind) = (json_text(entry.name_bytes()), entry.device_type().name());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{comma}\n    {{ \"name\": \"{name}\", \"type\": \"{kind}\" }}"
        );
    }
    text + "\n  ]\n}\n"
}

/// The inside of a JSON string. Nothing in an image's names is trusted to be printable.
fn json_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            _ if character.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use solo5_abi::manifest::{TYPE_BLOCK_BASIC, TYPE_NET_BASIC};

    #[test]
    fn the_abi_has_the_documented_shape() {
        let want = "{\n  \"type\": \"solo5.abi\",\n  \"target\": \"spt\",\n  \"version\": 2\n}\n";
        assert_eq!(
            abi_json(Abi1 {
                target: 2,
                version: 2
            }),
            want
        );
        assert!(
            abi_json(Abi1 {
                target: 77,
                version: 2
            })
            .contains("\"target\": \"unknown\"")
        );
    }

    #[test]
    fn the_manifest_has_the_documented_shape() {
        let mut entries = vec![ManifestEntry::RESERVED];
        let head = "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n";
        assert_eq!(manifest_json(&entries), format!("{head}  ]\n}}\n"));

        entries.push(ManifestEntry::declare("service0", TYPE_NET_BASIC));
        entries.push(ManifestEntry::declare("b", TYPE_BLOCK_BASIC));
        entries.push(ManifestEntry::RESERVED);
        let devices = "    { \"name\": \"service0\", \"type\": \"NET_BASIC\" },\n    \
                       { \"name\": \"b\", \"type\": \"BLOCK_BASIC\" }\n";
        assert_eq!(manifest_json(&entries), format!("{head}{devices}  ]\n}}\n"));
    }

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        let mut entry = ManifestEntry::declare("x", 77);
        entry.name[..6].copy_from_slice(b"a\"\\\n\x1b\xff");
        let text = manifest_json(&[ManifestEntry::RESERVED, entry]);
        assert!(text.contains(r#""a\"\\\u000a\u001b�""#), "{text}");
        assert!(text.contains("<undefined type>"));
    }
}
