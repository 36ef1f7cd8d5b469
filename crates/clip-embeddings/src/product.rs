//! Products of all rows of one block with all rows of another: where nearest neighbours cost their time.

/// Fills `products` (m × n, by rows) with the scalar products of the rows of `a` (m × dim) and `b`
/// (n × dim), on the calling thread. The order of additions depends on the shapes and the processor,
/// not on anything else.
///
/// # Panics
/// The lengths do not fit together.
#[allow(unsafe_code, reason = "the matrix product takes pointers; their extents are checked first")]
pub fn products(a: &[f32], b: &[f32], dim: usize, products: &mut [f32]) {
    assert!(dim > 0 && a.len().is_multiple_of(dim) && b.len().is_multiple_of(dim), "blocks hold whole rows");
    let (m, n) = (a.len() / dim, b.len() / dim);
    assert_eq!(products.len(), m * n, "one product for each pair");
    let stride = |length: usize| isize::try_from(length).expect("a slice is no longer than isize::MAX");
    // SAFETY: `a` has m·dim, `b` n·dim and `products` m·n numbers (asserted above). With these strides
    // the call reads a[i·dim + k], b[j·dim + k] and writes products[i·n + j] for i < m, j < n, k < dim,
    // all within them; `products` is borrowed exclusively, so it overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            dim,
            products.as_mut_ptr(),
            1,
            stride(n),
            false,
            a.as_ptr(),
            1,
            stride(dim),
            b.as_ptr(),
            stride(dim),
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_product() {
        let numbers = |n: usize, step: f32| (0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        for (m, n, dim) in [(1, 1, 1), (3, 5, 7), (33, 17, 64), (0, 3, 2), (3, 0, 2)] {
            let (a, b) = (numbers(m * dim, 0.7), numbers(n * dim, 1.3));
            let mut c = vec![f32::NAN; m * n];
            products(&a, &b, dim, &mut c);
            for i in 0..m {
                for j in 0..n {
                    let expected = crate::vector_math::dot(&a[i * dim..][..dim], &b[j * dim..][..dim]);
                    assert!((f64::from(c[i * n + j]) - expected).abs() < 1e-5, "{m} {n} {dim}: {i} {j}");
                }
            }
        }
    }
}
