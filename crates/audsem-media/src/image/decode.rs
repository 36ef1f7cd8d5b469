//! PNG and JPEG files.

use std::io::Cursor;

use audsem_core::panics::caught;
use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{ImageError, RgbImage, checked_len};

const PNG_MAGIC: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
const JPEG_MAGIC: [u8; 3] = [0xff, 0xd8, 0xff];

/// The longest side of a JPEG file, which its header can state.
const MAX_JPEG_SIDE: usize = 65_535;

/// Memory for the parts of a PNG file besides its pixels.
const MAX_PNG_EXTRA_BYTES: usize = 1 << 26;

/// Decodes a PNG or JPEG file held in memory to 8 bits of red, green and blue. Grey becomes three equal values, the
/// upper eight of sixteen bits are kept, transparency is dropped, and of an animation the first picture is read, as
/// Pillow's `convert("RGB")` does for pictures of colours.
///
/// # Errors
/// [`ImageError::Unknown`], [`ImageError::Size`] or [`ImageError::Malformed`]; a file that ends early is an error.
pub fn decode_picture(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    // Both decoders are meant for untrusted bytes; a panic of one is still the fault of a single picture.
    let decode = || {
        if bytes.starts_with(&PNG_MAGIC) {
            decode_png(bytes)
        } else if bytes.starts_with(&JPEG_MAGIC) {
            decode_jpeg(bytes)
        } else {
            Err(ImageError::Unknown)
        }
    };
    let panicked = |what| Err(ImageError::Malformed { what: format!("the decoder panicked: {what}") });
    caught(decode).unwrap_or_else(panicked)
}

fn malformed(error: impl std::fmt::Display) -> ImageError {
    ImageError::Malformed { what: error.to_string() }
}

fn decode_png(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    let (width, height) = decoder.read_header_info().map_err(malformed)?.size();
    let pixels = checked_len(u64::from(width), u64::from(height))?;
    decoder.set_limits(png::Limits { bytes: pixels.saturating_add(MAX_PNG_EXTRA_BYTES) });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(malformed)?;
    let n_bytes = reader.output_buffer_size().ok_or(ImageError::Size { width: width.into(), height: height.into() })?;
    let mut values = vec![0; n_bytes];
    let read = reader.next_frame(&mut values).map_err(malformed)?;
    values.truncate(read.buffer_size());
    let values = match read.color_type {
        ColorType::Rgb => values,
        ColorType::Rgba => values.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect(),
        ColorType::Grayscale => values.iter().flat_map(|value| [*value; 3]).collect(),
        ColorType::GrayscaleAlpha => values.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
        ColorType::Indexed => return Err(malformed("a palette was not expanded")),
    };
    // An animation's first picture may be smaller than its canvas.
    RgbImage::new(read.width as usize, read.height as usize, values)
}

fn decode_jpeg(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let options = DecoderOptions::new_safe().set_max_width(MAX_JPEG_SIDE).set_max_height(MAX_JPEG_SIDE);
    // Otherwise a file that ends early is filled up with grey.
    let options = options.set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(malformed)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| malformed("no size in its header"))?;
    checked_len(width as u64, height as u64)?;
    let values = decoder.decode().map_err(malformed)?;
    RgbImage::new(width, height, values)
}
