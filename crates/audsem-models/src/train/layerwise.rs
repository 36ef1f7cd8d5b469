//! Back-propagation step by step, with recomputation (Chen et al., 2016).
//!
//! The forward pass keeps the input of each step and nothing else. Going back, a step is run once more from its input,
//! now with a graph, and its graph is dropped before that of the step before it is built: memory is that of one step, and
//! the depth of candle's recursion is that of one step. Steps may keep their graphs, so that they are not computed twice.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};

use super::Accumulated;
use crate::error::Result;
use crate::nn::differentiated::{BackFunction, Differentiated, PartGradients};

/// From the states before a step to those behind it, in a graph.
pub(crate) type GraphFunction<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

/// From the states before a step to those behind it, with a backward pass of its own.
pub(crate) type OwnFunction<'a> = Box<dyn Fn(&Tensor) -> Result<Differentiated<'a>> + 'a>;

/// How a step is gone through.
pub(crate) enum StepFunction<'a> {
    /// Its gradients are found in a graph.
    Graph(GraphFunction<'a>),
    /// It makes them itself.
    Own(OwnFunction<'a>),
}

impl StepFunction<'_> {
    /// The states behind the step, without a graph.
    fn output(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Graph(run) => Ok(run(x)?.detach()),
            Self::Own(run) => Ok(run(x)?.output),
        }
    }
}

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
enum Record<'a> {
    /// No gradient passes here.
    Nothing,
    /// Its input, which is a variable if it is to get a gradient.
    Input(Tensor),
    /// Its input and its result with a graph between.
    Graph(Tensor, Tensor),
    /// Its own backward pass.
    Own(BackFunction<'a>),
}

/// A forward pass that can be gone back.
pub(crate) struct Tape<'a> {
    steps: Vec<Step<'a>>,
    records: Vec<Record<'a>>,
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
            x = step.run.output(&x)?;
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
            let (output, record) = match is_passed {
                true => step.record(&x, flows[n])?,
                false => (step.run.output(&x)?, Record::Nothing),
            };
            records.push(record);
            x = output;
        }
        Ok(Tape { steps, records, flows, output: x })
    }
}

impl<'a> Step<'a> {
    /// The states behind the step, and what is kept of it. With a graph or without, so that a step gives the same bits when
    /// it is computed again.
    fn record(&self, x: &Tensor, is_wanted: bool) -> Result<(Tensor, Record<'a>)> {
        match &self.run {
            StepFunction::Graph(run) => {
                let input = differentiable(x, is_wanted)?;
                let output = run(&input)?;
                let states = output.detach();
                Ok((states, if self.is_kept { Record::Graph(input, output) } else { Record::Input(input) }))
            }
            StepFunction::Own(run) => {
                let Differentiated { output, back } = run(x)?;
                Ok((output, if self.is_kept { Record::Own(back) } else { Record::Input(x.clone()) }))
            }
        }
    }

    /// What is kept of a step that is computed again from its input.
    fn again(&self, input: Tensor) -> Result<Record<'a>> {
        Ok(match &self.run {
            StepFunction::Graph(run) => {
                let output = run(&input)?;
                Record::Graph(input, output)
            }
            StepFunction::Own(run) => Record::Own(run(&input)?.back),
        })
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
            let record = match record {
                Record::Input(input) => step.again(input)?,
                record => record,
            };
            let of_input = match record {
                Record::Own(back) => {
                    let PartGradients { of_input, of_trained } = back(&grad, is_wanted)?;
                    sum.add_by_id(of_trained, vars)?;
                    of_input
                }
                Record::Graph(input, output) => {
                    let grads = match output.device().is_cpu() {
                        true => output.apply_op1(Seeded(grad))?.backward()?,
                        false => (output * grad)?.backward()?,
                    };
                    sum.add(&grads, vars)?;
                    grads.get(&input).map(Tensor::detach)
                }
                Record::Nothing | Record::Input(_) => None,
            };
            match of_input.filter(|_| is_wanted) {
                Some(of_input) => grad = of_input,
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

    /// `x ↦ sin(w x) + x`, in a graph or with its own backward pass: by `x`, `w cos(w x) + 1`, and by `w`, `x cos(w x)`.
    fn function<'a>(n: usize, weight: &'a Tensor, is_own: bool, runs: &'a RefCell<Vec<usize>>) -> StepFunction<'a> {
        let value = move |x: &Tensor, weight: &Tensor| {
            runs.borrow_mut().push(n);
            (x * weight)?.sin()? + x
        };
        if !is_own {
            return StepFunction::Graph(Box::new(move |x: &Tensor| Ok(value(x, weight)?)));
        }
        StepFunction::Own(Box::new(move |x: &Tensor| {
            let (x, id, weight) = (x.clone(), weight.id(), weight.detach());
            let output = value(&x, &weight)?;
            let back = Box::new(move |grad: &Tensor, is_wanted: bool| {
                let slope = (&x * &weight)?.cos()?;
                let of_input = is_wanted.then(|| ((&slope * &weight)? + 1.0)? * grad).transpose()?;
                Ok(PartGradients { of_input, of_trained: vec![(id, ((slope * &x)? * grad)?)] })
            });
            Ok(Differentiated { output, back })
        }))
    }

    /// Steps for each weight; those that are trained are variables, and some have their own backward passes.
    fn chain<'a>(
        weights: &'a [(Tensor, bool)],
        kept: &[usize],
        own: &[usize],
        runs: &'a RefCell<Vec<usize>>,
    ) -> Chain<'a> {
        let step = |(n, (weight, is_trained)): (usize, &'a (Tensor, bool))| Step {
            run: function(n, weight, own.contains(&n), runs),
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
            let is_near =
                |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
            let kept_and_own =
                [(&[][..], &[][..]), (&[3], &[0, 3]), (&[1, 3], &[1, 2]), (&[0, 1, 2, 3], &[0, 1, 2, 3])];
            for ((kept, own), is_wanted) in kept_and_own.into_iter().zip([true, false, true, false]) {
                runs.borrow_mut().clear();
                let tape = chain(&weights, kept, own, &runs).record(&x, is_wanted).unwrap();
                assert_eq!(values(&tape.output), values(&whole));
                assert_eq!(values(&chain(&weights, kept, own, &RefCell::default()).run(&x).unwrap()), values(&whole));
                let mut sum = Accumulated::default();
                let of_input = tape.back(&grad, &vars, &mut sum).unwrap();
                assert_eq!(of_input.is_some(), is_wanted);
                if let Some(of_input) = of_input {
                    assert!(is_near(&values(&of_input), &values(wanted.get(&input).unwrap())));
                }
                for ((name, var), is_trained) in vars.iter().zip(trained) {
                    let got = sum.gradient(name, var).map(values);
                    let wanted = is_trained.then(|| values(wanted.get(var).unwrap()));
                    assert_eq!(got.is_some(), wanted.is_some(), "{name}, kept {kept:?}");
                    assert!(is_near(&got.unwrap_or_default(), &wanted.unwrap_or_default()), "{name}, own {own:?}");
                }
                // Kept steps run once, steps that no gradient passes too, others twice.
                let first = if is_wanted { 0 } else { trained.iter().position(|is| *is).unwrap() };
                let again = (first..4).filter(|step| !kept.contains(step)).count();
                assert_eq!(runs.borrow().len(), 4 + again, "trained {trained:?}, kept {kept:?}");
            }
        }
    }
}
