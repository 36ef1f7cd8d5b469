//! Back-propagation step by step, with recomputation (Chen et al., 2016).
//!
//! The forward pass keeps the input of each step and nothing else. Going back, a step is run once more from its input,
//! now with a graph, and its graph is dropped before that of the step before it is built: memory is that of one step, and
//! the depth of candle's recursion is that of one step. Steps may keep their graphs, so that they are not computed twice.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};

use super::Accumulated;
use crate::error::Result;

/// From the states before a step to those behind it.
pub(crate) type StepFunction<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// A part of a network that is differentiated at once.
pub(crate) struct Step<'a> {
    /// What it computes.
    pub(crate) run: StepFunction<'a>,
    /// Whether it holds tensors that are trained.
    pub(crate) is_trained: bool,
    /// Whether its graph is kept; that of the last step costs no memory that going back does not need.
    pub(crate) is_kept: bool,
}

/// Steps that follow each other.
pub(crate) struct Chain<'a> {
    pub(crate) steps: Vec<Step<'a>>,
}

/// What the forward pass keeps of a step.
enum Record {
    /// No gradient passes here.
    Nothing,
    /// Its input, which is a variable if it is to get a gradient.
    Input(Tensor),
    /// Its input and its result with a graph between.
    Graph(Tensor, Tensor),
}

/// A forward pass that can be gone back.
pub(crate) struct Tape<'a> {
    steps: Vec<Step<'a>>,
    records: Vec<Record>,
    /// Whether the input of each step is to get a gradient.
    flows: Vec<bool>,
    /// The states behind the last step, without a graph.
    pub(crate) output: Tensor,
}

impl<'a> Chain<'a> {
    /// The states behind the last step, without a graph.
    ///
    /// # Errors
    /// Those of the steps.
    pub(crate) fn run(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.detach();
        for step in &self.steps {
            x = (step.run)(&x)?.detach();
        }
        Ok(x)
    }

    /// A forward pass that can be gone back. `is_wanted` says whether the gradient of `x` is.
    ///
    /// # Errors
    /// Those of the steps, memory, device.
    pub(crate) fn record(self, x: &Tensor, is_wanted: bool) -> Result<Tape<'a>> {
        let Self { steps } = self;
        let begun = steps.iter().scan(is_wanted, |flows, step| {
            let before = *flows;
            *flows |= step.is_trained;
            Some(before)
        });
        let flows: Vec<bool> = begun.collect();
        let mut records = Vec::with_capacity(steps.len());
        let mut x = x.detach();
        for (n, step) in steps.iter().enumerate() {
            let is_passed = flows[n] || step.is_trained;
            // With a graph or without, so that a layer gives the same bits when it is computed again.
            let input = if is_passed { differentiable(&x, flows[n])? } else { x };
            let output = (step.run)(&input)?;
            x = output.detach();
            records.push(match (is_passed, step.is_kept) {
                (true, true) => Record::Graph(input, output),
                (true, false) => Record::Input(input),
                (false, _) => Record::Nothing,
            });
        }
        Ok(Tape { steps, records, flows, output: x })
    }
}

/// A tensor that gets a gradient, if one is wanted.
fn differentiable(x: &Tensor, is_wanted: bool) -> Result<Tensor> {
    Ok(if is_wanted { Var::from_tensor(x)?.as_tensor().clone() } else { x.clone() })
}

/// A number whose gradient by a tensor is the one that it holds: what the sum of the products of both is, without making
/// products.
struct Seeded(Tensor);

impl CustomOp1 for Seeded {
    fn name(&self) -> &'static str {
        "seeded"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

impl Tape<'_> {
    /// Adds the gradients of `vars` to `sum`, from the gradient of the states behind the last step. Returns the gradient
    /// of the input, if it was wanted.
    ///
    /// # Errors
    /// Those of the steps, memory, device.
    pub(crate) fn back(
        mut self,
        grad: &Tensor,
        vars: &[(String, Var)],
        sum: &mut Accumulated,
    ) -> Result<Option<Tensor>> {
        let mut grad = grad.detach();
        while let (Some(step), Some(record)) = (self.steps.pop(), self.records.pop()) {
            let is_wanted = self.flows.pop().unwrap_or(false);
            let (input, output) = match record {
                Record::Nothing => return Ok(None),
                Record::Graph(input, output) => (input, output),
                Record::Input(input) => {
                    let output = (step.run)(&input)?;
                    (input, output)
                }
            };
            let grads = match output.device().is_cpu() {
                true => output.apply_op1(Seeded(grad))?.backward()?,
                false => (output * grad)?.backward()?,
            };
            sum.add(&grads, vars)?;
            match grads.get(&input).filter(|_| is_wanted) {
                Some(of_input) => grad = of_input.detach(),
                None => return Ok(None),
            }
        }
        Ok(Some(grad))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::train::Gradients;
    use candle_core::Device;
    use std::cell::RefCell;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    /// `x ↦ sin(w x) + x` for each weight; those that are trained are variables.
    fn chain<'a>(weights: &'a [(Tensor, bool)], kept: &[usize], runs: &'a RefCell<Vec<usize>>) -> Chain<'a> {
        let step = |(n, (weight, is_trained)): (usize, &'a (Tensor, bool))| Step {
            run: Box::new(move |x: &Tensor| {
                runs.borrow_mut().push(n);
                Ok(((x * weight)?.sin()? + x)?)
            }),
            is_trained: *is_trained,
            is_kept: kept.contains(&n),
        };
        Chain { steps: weights.iter().enumerate().map(step).collect() }
    }

    #[test]
    fn gradients_are_those_of_one_graph() {
        let vars: Vec<(String, Var)> =
            (0..4).map(|n| (format!("w{n}"), Var::from_tensor(&tensor(&[0.3 + n as f32, 0.9])).unwrap())).collect();
        let x = tensor(&[0.4, -1.2]);
        let grad = tensor(&[0.7, 1.1]);
        // Trained steps everywhere, in the middle, and at the end alone.
        for trained in [[true; 4], [false, true, true, false], [false, false, false, true]] {
            let weights: Vec<(Tensor, bool)> = vars
                .iter()
                .zip(trained)
                .map(|((_, var), is)| (if is { var.as_tensor().clone() } else { var.as_detached_tensor() }, is))
                .collect();
            let input = Var::from_tensor(&x).unwrap();
            let runs: RefCell<Vec<usize>> = RefCell::default();
            let whole = weights
                .iter()
                .fold(input.as_tensor().clone(), |x, (weight, _)| ((&x * weight).unwrap().sin().unwrap() + x).unwrap());
            let wanted = (&whole * &grad).unwrap().backward().unwrap();
            let values = |x: &Tensor| x.to_vec1::<f32>().unwrap();
            for (kept, is_wanted) in [(&[][..], true), (&[3], false), (&[1, 3], true), (&[0, 1, 2, 3], false)] {
                runs.borrow_mut().clear();
                let tape = chain(&weights, kept, &runs).record(&x, is_wanted).unwrap();
                assert_eq!(values(&tape.output), values(&whole));
                assert_eq!(values(&chain(&weights, kept, &RefCell::default()).run(&x).unwrap()), values(&whole));
                let mut sum = Accumulated::default();
                let of_input = tape.back(&grad, &vars, &mut sum).unwrap();
                assert_eq!(of_input.is_some(), is_wanted);
                if let Some(of_input) = of_input {
                    assert_eq!(values(&of_input), values(wanted.get(&input).unwrap()));
                }
                for ((name, var), is_trained) in vars.iter().zip(trained) {
                    let got = sum.gradient(name, var).map(values);
                    assert_eq!(got, is_trained.then(|| values(wanted.get(var).unwrap())), "{name}, kept {kept:?}");
                }
                // Kept steps run once, steps that no gradient passes too, others twice.
                let first = if is_wanted { 0 } else { trained.iter().position(|is| *is).unwrap() };
                let again = (first..4).filter(|step| !kept.contains(step)).count();
                assert_eq!(runs.borrow().len(), 4 + again, "trained {trained:?}, kept {kept:?}");
            }
        }
    }
}
