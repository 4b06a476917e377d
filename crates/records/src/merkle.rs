//! Hashes over rows: of a row's fields, and of many rows as one tree.

use sha2::{Digest, Sha256};

/// SHA-256 of a prefix and of fields, each after its length as four bytes. RFC 6962 gives the prefix 0 to leaves and 1 to
/// nodes.
pub fn hash_fields(prefix: u8, fields: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update([prefix]);
    for field in fields {
        sha.update(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        sha.update(field);
    }
    sha.finalize().into()
}

/// The Merkle tree hash of leaves that are hashed already (RFC 6962, section 2.1).
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        many => {
            // The largest power of two below their number.
            let left = many.len().next_power_of_two() / 2;
            let (left, right) = many.split_at(left);
            let mut sha = Sha256::new();
            sha.update([1]);
            sha.update(root(left));
            sha.update(root(right));
            sha.finalize().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and roots that implementations of RFC 6962 check each other by.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves = inputs.map(|input| <[u8; 32]>::from(Sha256::digest([b"\x00", input].concat())));
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (count, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(root(&leaves[..count])), expected, "{count} leaves");
        }
    }
}
