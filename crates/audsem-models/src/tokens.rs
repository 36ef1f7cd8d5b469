//! Token ids of texts to batches without needless padding.

use candle_core::{Device, Tensor};

use crate::error::Result;

/// Rows of ids as one tensor (B, T), padded at the end; the mask (B, T) is absent where nothing had to be padded.
///
/// # Errors
/// Memory or device.
pub fn batch(rows: &[&[u32]], pad_id: u32, device: &Device) -> Result<(Tensor, Option<Tensor>)> {
    let t = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let padded = rows.iter().any(|row| row.len() < t);
    let mut ids = Vec::with_capacity(rows.len() * t);
    let mut mask = Vec::with_capacity(rows.len() * t);
    for row in rows {
        ids.extend_from_slice(row);
        ids.resize(ids.len() + t - row.len(), pad_id);
        mask.resize(mask.len() + row.len(), 1u8);
        mask.resize(mask.len() + t - row.len(), 0u8);
    }
    let ids = Tensor::from_vec(ids, (rows.len(), t), device)?;
    let mask = if padded { Some(Tensor::from_vec(mask, (rows.len(), t), device)?) } else { None };
    Ok((ids, mask))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_batch_is_masked_only_where_it_is_padded() {
        let (ids, mask) = batch(&[&[1, 2], &[3, 4]], 0, &Device::Cpu).unwrap();
        assert_eq!(ids.to_vec2::<u32>().unwrap(), [[1, 2], [3, 4]]);
        assert!(mask.is_none());
        let (ids, mask) = batch(&[&[1, 2, 3], &[4]], 9, &Device::Cpu).unwrap();
        assert_eq!(ids.to_vec2::<u32>().unwrap(), [[1, 2, 3], [4, 9, 9]]);
        assert_eq!(mask.unwrap().to_vec2::<u8>().unwrap(), [[1, 1, 1], [1, 0, 0]]);
    }
}
