//! Gradients against differences of values, for every backward pass that is written by hand.

use candle_core::{Result, Tensor, Var};

/// A step that leaves f32 enough digits of the difference; what is checked here is linear in each of its inputs.
const STEP: f32 = 0.1;

/// Fails unless the gradient of `function` with regard to every element of `x` is what moving that element makes of the
/// result, which is weighted so that no error cancels.
pub(crate) fn check_gradient(x: &Tensor, function: impl Fn(&Tensor) -> Result<Tensor>) {
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
    for (n, grad) in grad.into_iter().enumerate() {
        let difference = (at(n, STEP) - at(n, -STEP)) / f64::from(2.0 * STEP);
        let tolerance = 2e-3 * difference.abs().max(1.0);
        assert!((difference - f64::from(grad)).abs() < tolerance, "element {n}: {grad} and {difference}");
    }
}
