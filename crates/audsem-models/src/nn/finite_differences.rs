//! Gradients against differences of values, for every backward pass that is written by hand.

use candle_core::{Result, Tensor, Var};

/// Distance and tolerance of a comparison.
#[derive(Clone, Copy)]
struct Precision {
    /// How far each element is moved to both sides.
    step: f32,
    /// Allowed difference, relative to the gradient or to 1 if that is more.
    tolerance: f64,
}

/// Fails unless the gradient of `function`, which is linear in each element of `x`, is what moving that element makes of
/// the result. The step leaves f32 enough digits of the difference.
pub(crate) fn check_gradient(x: &Tensor, function: impl Fn(&Tensor) -> Result<Tensor>) {
    check(x, function, Precision { step: 0.1, tolerance: 2e-3 });
}

/// As [`check_gradient`] for a function that is curved.
pub(crate) fn check_smooth_gradient(x: &Tensor, function: impl Fn(&Tensor) -> Result<Tensor>) {
    check(x, function, Precision { step: 0.01, tolerance: 5e-3 });
}

/// The result is weighted so that no error cancels.
fn check(x: &Tensor, function: impl Fn(&Tensor) -> Result<Tensor>, precision: Precision) {
    let loss = |x: &Tensor| -> Result<Tensor> {
        let y = function(x)?;
        let weights = Tensor::arange(0f32, y.elem_count() as f32, y.device())?.affine(0.9, 0.3)?.sin()?;
        (y.flatten_all()? * weights)?.sum_all()
    };
    let var = Var::from_tensor(&x.detach()).expect("a tensor can be trained");
    let grads = loss(&var).and_then(|loss| loss.backward()).expect("the function has a gradient");
    let grad = grads.get(&var).expect("its input has one").flatten_all().and_then(|grad| grad.to_vec1::<f32>());
    let grad = grad.expect("a gradient is f32");
    let values = x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("a tensor is f32");
    let at = |n: usize, step: f32| {
        let mut moved = values.clone();
        moved[n] += step;
        let x = Tensor::from_vec(moved, x.shape(), x.device());
        f64::from(x.and_then(|x| loss(&x)?.to_scalar::<f32>()).expect("the function has a value"))
    };
    let Precision { step, tolerance } = precision;
    for (n, grad) in grad.into_iter().enumerate() {
        let difference = (at(n, step) - at(n, -step)) / f64::from(2.0 * step);
        let allowed = tolerance * difference.abs().max(1.0);
        assert!((difference - f64::from(grad)).abs() < allowed, "element {n}: {grad} and {difference}");
    }
}
