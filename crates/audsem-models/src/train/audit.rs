//! The audit of the first gradients of a training.

use candle_core::{DType, Tensor, Var};

use super::Gradients;
use crate::error::{Error, Result};
use crate::nn::lora;

/// Checks the gradients of the first update: every trained tensor has one, each is finite, and none is zero throughout.
/// An operation without a gradient, which candle does not report, shows itself here and nowhere else.
///
/// The projection down of an adapter may have a gradient of zero while the projection up is zero, as it is at the
/// start.
///
/// # Errors
/// [`Error::Gradient`] with the names of all tensors that fail, of the first kind of failure that there is.
pub fn audit_gradients(grads: &impl Gradients, vars: &[(String, Var)]) -> Result<()> {
    let (mut absent, mut broken, mut zero) = (Vec::new(), Vec::new(), Vec::new());
    for (name, var) in vars {
        match grads.gradient(name, var) {
            None => absent.push(name.clone()),
            Some(grad) => match largest(grad)? {
                largest if !largest.is_finite() => broken.push(name.clone()),
                0.0 if !is_behind_zero(name, vars)? => zero.push(name.clone()),
                _ => {}
            },
        }
    }
    for (what, names) in [("no gradient", absent), ("gradient is not finite", broken), ("gradient is zero", zero)] {
        if !names.is_empty() {
            return Err(Error::Gradient { step: 0, what, names });
        }
    }
    Ok(())
}

/// The largest magnitude; NaN or infinite if a value is.
fn largest(x: &Tensor) -> Result<f32> {
    let values = x.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::abs).fold(0.0, |most, x| if x > most || x.is_nan() { x } else { most }))
}

/// Whether a tensor is the projection down of an adapter whose projection up is zero.
fn is_behind_zero(name: &str, vars: &[(String, Var)]) -> Result<bool> {
    let Some(up) = lora::partner_up(name) else { return Ok(false) };
    match vars.iter().find(|(name, _)| *name == up) {
        Some((_, var)) => Ok(largest(var)? == 0.0),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::train::Accumulated;
    use candle_core::Device;

    #[test]
    fn what_fails_is_named() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let named = |name: &str, value| (name.to_owned(), Var::from_tensor(&tensor(&[value])).unwrap());
        let vars = [named("q.lora_A.weight", 1.0), named("q.lora_B.weight", 0.0), named("norm.weight", 1.0)];
        let audit = |grads: &[(&str, &[f32])]| {
            let mut sum = Accumulated::default();
            grads.iter().for_each(|(name, grad)| sum.add_tensor(name, &tensor(grad)).unwrap());
            audit_gradients(&sum, &vars).map_err(|error| error.to_string())
        };
        let [a, b, norm] = ["q.lora_A.weight", "q.lora_B.weight", "norm.weight"];
        audit(&[(a, &[0.0]), (b, &[0.5]), (norm, &[-1.0])]).unwrap();
        let error = audit(&[(a, &[0.0]), (norm, &[1.0])]).unwrap_err();
        assert!(error.contains("no gradient") && error.contains(b) && !error.contains(a), "{error}");
        for broken in [f32::NAN, f32::INFINITY] {
            let error = audit(&[(a, &[0.0]), (b, &[0.1, broken, 0.2]), (norm, &[1.0])]).unwrap_err();
            assert!(error.contains("not finite") && error.contains(b), "{error}");
        }
        let error = audit(&[(a, &[0.0]), (b, &[0.0, -0.0]), (norm, &[0.0])]).unwrap_err();
        assert!(error.contains("zero") && error.contains(b) && error.contains(norm) && !error.contains(a), "{error}");
        vars[1].1.set(&tensor(&[0.3])).unwrap();
        assert!(audit(&[(a, &[0.0]), (b, &[0.5]), (norm, &[-1.0])]).unwrap_err().contains(a));
    }
}
