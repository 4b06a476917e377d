//! Numbers in as many bytes as they need: unsigned LEB128, as in DWARF and WebAssembly.

/// Appends a number.
pub fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

/// Takes a number from the front; `None` where there is none.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Appends a number that may be negative: small ones of either sign are short (zigzag, as in Protocol Buffers).
pub fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Takes a number that may be negative from the front; `None` where there is none.
pub fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let folded = take(bytes)?;
    Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
}

/// Appends bytes after their length.
pub fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

/// Takes bytes after their length from the front; `None` where there are too few.
pub fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken() {
        let numbers = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
        let mut bytes = vec![];
        for number in numbers {
            put_signed(&mut bytes, number);
            put(&mut bytes, number.unsigned_abs());
        }
        put_bytes(&mut bytes, b"ada");
        let mut rest = bytes.as_slice();
        for number in numbers {
            assert_eq!(
                (take_signed(&mut rest), take(&mut rest)),
                (Some(number), Some(number.unsigned_abs()))
            );
        }
        assert_eq!((take_bytes(&mut rest), rest), (Some(&b"ada"[..]), &[][..]));
        assert_eq!((take(&mut rest), take_signed(&mut rest), take_bytes(&mut rest)), (None, None, None));
        assert_eq!(take_bytes(&mut &[5, 1, 2][..]), None, "a length that lies");
    }
}
