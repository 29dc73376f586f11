//! Reads the size of an image from its header, decoding no more of its base64 text than that.

/// The most tokens of one image: Anthropic scales larger ones down (its vision guide, "image costs").
pub(super) const LARGEST: u64 = 1_600;
/// Pixels per token, by the same guide.
const PIXELS: u64 = 750;

/// Returns the tokens of a base64 image, or those of the largest image if its header cannot be read.
pub(super) fn tokens(base64: &[u8]) -> u64 {
    let Some((width, height)) = size(Encoded(base64)) else { return LARGEST };
    (u64::from(width) * u64::from(height)).div_ceil(PIXELS).clamp(1, LARGEST)
}

/// The bytes of base64 text, decoded one at a time.
#[derive(Clone, Copy)]
struct Encoded<'a>(&'a [u8]);

fn size(bytes: Encoded<'_>) -> Option<(u32, u32)> {
    if bytes.has(0, b"\x89PNG\r\n\x1A\n") {
        return Some((bytes.big(16, 4)?, bytes.big(20, 4)?));
    }
    if bytes.has(0, b"GIF8") {
        return Some((bytes.little(6, 2)?, bytes.little(8, 2)?));
    }
    if bytes.has(0, b"RIFF") && bytes.has(8, b"WEBP") {
        return webp(bytes);
    }
    if bytes.has(0, b"\xFF\xD8") {
        return jpeg(bytes);
    }
    None
}

/// Reads one of three variants: lossy (14 bits and scaling), lossless (14 bits each, less one), extended (24 bits each,
/// less one).
fn webp(bytes: Encoded<'_>) -> Option<(u32, u32)> {
    if bytes.has(12, b"VP8 ") && bytes.has(23, b"\x9D\x01\x2A") {
        return Some((bytes.little(26, 2)? & 0x3FFF, bytes.little(28, 2)? & 0x3FFF));
    }
    if bytes.has(12, b"VP8L") {
        let packed = bytes.little(21, 4)?;
        return Some(((packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1));
    }
    if bytes.has(12, b"VP8X") {
        return Some((bytes.little(24, 3)? + 1, bytes.little(27, 3)? + 1));
    }
    None
}

/// Skips segments, such as thumbnails and colour profiles, up to the frame header.
fn jpeg(bytes: Encoded<'_>) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if bytes.at(at)? != 0xFF {
            return None;
        }
        match bytes.at(at + 1)? {
            0xFF => at += 1,
            0x01 | 0xD0..=0xD7 => at += 2,
            // Tables and extensions whose markers are in the range of the frame headers.
            0xC4 | 0xC8 | 0xCC => at += bytes.segment(at)?,
            0xC0..=0xCF => return Some((bytes.big(at + 7, 2)?, bytes.big(at + 5, 2)?)),
            _ => at += bytes.segment(at)?,
        }
    }
}

impl Encoded<'_> {
    fn at(self, index: usize) -> Option<u8> {
        let first = index / 3 * 4 + index % 3;
        let [high, low] = [self.sextet(first)?, self.sextet(first + 1)?];
        Some(match index % 3 {
            0 => high << 2 | low >> 4,
            1 => high << 4 | low >> 2,
            _ => high << 6 | low,
        })
    }

    fn sextet(self, index: usize) -> Option<u8> {
        match *self.0.get(index)? {
            letter @ b'A'..=b'Z' => Some(letter - b'A'),
            letter @ b'a'..=b'z' => Some(letter - b'a' + 26),
            digit @ b'0'..=b'9' => Some(digit - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        }
    }

    fn has(self, from: usize, wanted: &[u8]) -> bool {
        wanted.iter().enumerate().all(|(index, &byte)| self.at(from + index) == Some(byte))
    }

    fn big(self, from: usize, length: usize) -> Option<u32> {
        (from..from + length).try_fold(0, |number, index| Some(number << 8 | u32::from(self.at(index)?)))
    }

    fn little(self, from: usize, length: usize) -> Option<u32> {
        (from..from + length)
            .rev()
            .try_fold(0, |number, index| Some(number << 8 | u32::from(self.at(index)?)))
    }

    /// Returns the distance from a segment's marker to the next one.
    fn segment(self, marker: usize) -> Option<usize> {
        let length = self.big(marker + 2, 2)?;
        (length >= 2).then_some(length as usize + 2)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;

    fn size_of(bytes: &[u8]) -> Option<(u32, u32)> {
        size(Encoded(STANDARD.encode(bytes).as_bytes()))
    }

    #[test]
    fn every_format_has_its_size_in_its_header() {
        assert_eq!(
            size_of(b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x03\x20\0\0\x02\x58\x08\x06"),
            Some((800, 600))
        );
        assert_eq!(size_of(b"GIF89a\x40\x01\xF0\0\xF7"), Some((320, 240)));
        assert_eq!(
            size_of(b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9D\x01\x2A\x80\x42\xE0\x01"),
            Some((640, 480))
        );
        // 99 and 49 in 14 bits each.
        assert_eq!(size_of(b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2F\x63\x40\x0C\0"), Some((100, 50)));
        assert_eq!(
            size_of(b"RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x10\0\0\0\xFF\x0F\0\xFF\x07\0"),
            Some((4_096, 2_048))
        );
    }

    #[test]
    fn a_jpeg_is_searched_past_its_thumbnail() {
        let mut jpeg =
            b"\xFF\xD8\xFF\xE1\x00\x0A\xFF\xC0......\xFF\xFF\xC4\x00\x03.\xFF\xC2\x00\x11\x08".to_vec();
        jpeg.extend(b"\x01\xE0\x02\x80\x03");
        assert_eq!(size_of(&jpeg), Some((640, 480)));
    }

    #[test]
    fn a_truncated_or_invalid_header_has_no_size() {
        let png = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x03\x20\0\0\x02\x58";
        for length in 0..png.len() {
            assert_eq!(size_of(&png[..length]), None, "{length}");
        }
        assert_eq!(size_of(b"\xFF\xD8\xFF\xE0\x00\x00"), None);
        assert_eq!(size_of(b"\xFF\xD8\xFF\xFF\xFF"), None);
        assert_eq!(size(Encoded(b"iVBO Rw0K")), None);
    }

    #[test]
    fn a_picture_costs_between_one_token_and_the_largest() {
        let png = |width: u16, height: u16| {
            let [a, b] = width.to_be_bytes();
            let [c, d] = height.to_be_bytes();
            let mut header = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR".to_vec();
            header.extend([0, 0, a, b, 0, 0, c, d]);
            tokens(STANDARD.encode(header).as_bytes())
        };
        assert_eq!([png(1, 1), png(200, 200), png(1_000, 1_000), png(9_000, 9_000)], [1, 54, 1_334, LARGEST]);
        assert_eq!(tokens(b""), LARGEST);
    }
}
