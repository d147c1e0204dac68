//! POSIX ACLs: the kernel's binary form to the text that tar has them in. Our own reader takes the binary form from the
//! index, so nothing depends on the way back.

/// The extended attribute that holds the ACL of an entry.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The extended attribute that holds the ACL that new entries of a directory get.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: [u8; 4] = 2u32.to_le_bytes();

/// `user::rw-,user:1000:r--,...` with numbers for names, which every reader takes; `None` if the kernel's form is not
/// understood.
pub fn text(value: &[u8]) -> Option<String> {
    let entries = value.strip_prefix(&VERSION)?;
    let (entries, []) = entries.as_chunks::<8>() else { return None };
    let texts: Option<Vec<String>> = entries.iter().map(entry_text).collect();
    texts.map(|texts| texts.join(","))
}

fn entry_text(entry: &[u8; 8]) -> Option<String> {
    let [tag_low, tag_high, bits_low, bits_high, id @ ..] = *entry;
    let (tag, bits, id) =
        (u16::from_le_bytes([tag_low, tag_high]), u16::from_le_bytes([bits_low, bits_high]), u32::from_le_bytes(id));
    let who = match tag {
        0x01 => "user:".to_owned(),
        0x02 => format!("user:{id}"),
        0x04 => "group:".to_owned(),
        0x08 => format!("group:{id}"),
        0x10 => "mask:".to_owned(),
        0x20 => "other:".to_owned(),
        _ => return None,
    };
    let may = |bit: u16, letter| if bits & bit != 0 { letter } else { '-' };
    (bits & !7 == 0).then(|| format!("{who}:{}{}{}", may(4, 'r'), may(2, 'w'), may(1, 'x')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_becomes_its_text() {
        let entry =
            |tag: u16, bits: u16, id: u32| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
        let acl = [
            VERSION.to_vec(),
            entry(1, 7, !0),
            entry(2, 4, 1000),
            entry(4, 5, !0),
            entry(0x10, 5, !0),
            entry(0x20, 0, !0),
        ];
        assert_eq!(text(&acl.concat()).as_deref(), Some("user::rwx,user:1000:r--,group::r-x,mask::r-x,other::---"));
    }

    #[test]
    fn what_is_not_understood_has_no_text() {
        for bad in [
            &b""[..],
            b"\x01\0\0\0",
            b"\x02\0\0\0\x01",
            b"\x02\0\0\0\x40\0\x07\0\0\0\0\0",
            b"\x02\0\0\0\x01\0\x08\0\0\0\0\0",
        ] {
            assert_eq!(text(bad), None);
        }
    }
}
