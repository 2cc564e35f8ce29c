//! A function of tensors that a plugin computes.

use std::sync::{Mutex, PoisonError};

use sli_config::Diagnostic;
use sli_config::plugin::FunctionDef;
use sli_model::infer::Kind;
use sli_model::{ForeignDim, ForeignTensor, ForeignType, ForeignValues, TensorFunction};

use crate::call::{invalid, refusal};
use crate::limits::{COMPUTE_BYTES, RESULT_SLACK};
use crate::options::{OptionError, validate_options};
use crate::plugin::Plugin;

/// Most dims of a result.
const MAX_RANK: usize = 8;
/// Most elements of a result without its rows.
const MAX_ELEMENTS: u64 = 1 << 40;
/// Types of so many different calls are remembered.
const REMEMBERED: usize = 1024;

/// One function of a plugin of kind `op`.
pub struct PluginFunction {
    plugin: Plugin,
    name: String,
    outputs: Vec<String>,
    inferred: Mutex<Vec<Inferred>>,
}

/// What the plugin said of a call.
#[derive(Clone, Debug, PartialEq)]
struct Inferred {
    options: String,
    inputs: Vec<Option<ForeignType>>,
    outputs: Vec<ForeignType>,
}

impl PluginFunction {
    pub(crate) fn new(plugin: Plugin, name: &str, def: &FunctionDef) -> PluginFunction {
        PluginFunction {
            plugin,
            name: name.to_owned(),
            outputs: def.outputs.clone(),
            inferred: Mutex::default(),
        }
    }

    /// Types of the results; asked once for the same options and inputs.
    fn types(&self, options: &str, inputs: &[Option<ForeignType>]) -> Result<Inferred, Diagnostic> {
        let known = |inferred: &&Inferred| inferred.options == options && inferred.inputs == inputs;
        if let Some(inferred) = self.lock().iter().find(known) {
            return Ok(inferred.clone());
        }
        let function = self.in_messages("infer");
        let size = options.len() + inputs.len() * 64;
        let outputs = self
            .plugin
            .own_call(&function)
            .run(size, RESULT_SLACK, |guest, store| {
                guest.infer(store, &self.name, options, inputs)
            })?
            .map_err(|why| refusal(&self.plugin, &function, &why))?;
        self.check_types(&outputs)
            .map_err(|why| invalid(&self.plugin, &function, why))?;
        let inferred = Inferred {
            options: options.to_owned(),
            inputs: inputs.to_vec(),
            outputs,
        };
        let mut all = self.lock();
        if all.len() == REMEMBERED {
            all.remove(0);
        }
        all.push(inferred.clone());
        Ok(inferred)
    }

    fn check_types(&self, types: &[ForeignType]) -> Result<(), String> {
        if types.len() != self.outputs.len() {
            let stated = self.outputs.len();
            return Err(format!(
                "it has {} results, and its manifest states {stated}",
                types.len()
            ));
        }
        for (found, name) in types.iter().zip(&self.outputs) {
            let mut elements = Some(1u64);
            for (at, dim) in found.dims.iter().enumerate() {
                match dim {
                    ForeignDim::Rows if at > 0 => {
                        return Err(format!("`{name}` has rows in dim {at}; only dim 0 can be rows"));
                    }
                    ForeignDim::Rows => {}
                    ForeignDim::Size(size) => elements = elements.and_then(|n| n.checked_mul(*size)),
                }
            }
            if found.dims.is_empty() || found.dims.len() > MAX_RANK {
                return Err(format!(
                    "`{name}` has {} dims; 1 to {MAX_RANK} are possible",
                    found.dims.len()
                ));
            }
            if elements.is_none_or(|n| n == 0 || n > MAX_ELEMENTS) {
                return Err(format!("`{name}` is {}: no tensor can be that", show(found)));
            }
        }
        Ok(())
    }

    /// What was inferred for tensors like these. Several calls can fit by chance, where a size is the number of rows.
    fn fitting(&self, options: &str, inputs: &[Option<ForeignTensor>], rows: u64) -> Result<Vec<Inferred>, Diagnostic> {
        let fits = |inferred: &&Inferred| {
            inferred.options == options
                && inferred.inputs.len() == inputs.len()
                && inferred.inputs.iter().zip(inputs).all(|pair| match pair {
                    (None, None) => true,
                    (Some(stated), Some(given)) => fit(stated, given, rows),
                    _ => false,
                })
        };
        let found: Vec<Inferred> = self.lock().iter().filter(fits).cloned().collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let guessed: Vec<_> = inputs
            .iter()
            .map(|input| input.as_ref().map(|t| type_of(t, rows)))
            .collect();
        self.types(options, &guessed).map(|inferred| vec![inferred])
    }

    fn call(
        &self,
        options: &str,
        inputs: Vec<Option<ForeignTensor>>,
        lengths: &[u64],
        fitting: &[Inferred],
    ) -> Result<Vec<ForeignTensor>, Diagnostic> {
        let rows = lengths.iter().sum();
        let function = self.in_messages("compute");
        let size = inputs.iter().flatten().map(byte_size).sum::<usize>() + lengths.len() * 8;
        let result = fitting
            .iter()
            .map(|inferred| result_size(&inferred.outputs, rows))
            .max()
            .unwrap_or(0);
        let result = result.saturating_add(RESULT_SLACK);
        let tensors = self
            .plugin
            .own_call(&function)
            .run(size, result, |guest, store| {
                guest.compute(store, &self.name, options, inputs, lengths)
            })?
            .map_err(|why| refusal(&self.plugin, &function, &why))?;
        let checks = fitting
            .iter()
            .map(|inferred| self.check_results(&tensors, &inferred.outputs, rows));
        let mut failed = None;
        for check in checks {
            match check {
                Ok(()) => return Ok(tensors),
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        Err(invalid(&self.plugin, &function, failed.unwrap_or_default()))
    }

    fn check_results(&self, tensors: &[ForeignTensor], stated: &[ForeignType], rows: u64) -> Result<(), String> {
        if tensors.len() != stated.len() {
            return Err(format!(
                "it gave {} results, and `infer` said {}",
                tensors.len(),
                stated.len()
            ));
        }
        for ((tensor, stated), name) in tensors.iter().zip(stated).zip(&self.outputs) {
            if kind_of(tensor) != stated.kind {
                let (found, said) = (kind_name(kind_of(tensor)), kind_name(stated.kind));
                return Err(format!("`{name}` holds {found}, and `infer` said {said}"));
            }
            if !fit(stated, tensor, rows) {
                let said = show(stated);
                return Err(format!(
                    "`{name}` is {:?}, and `infer` said {said} with {rows} rows",
                    tensor.shape
                ));
            }
            let values = match &tensor.values {
                ForeignValues::Floats(values) => values.len(),
                ForeignValues::Ints(values) => values.len(),
            };
            let wanted = tensor.shape.iter().try_fold(1u64, |n, size| n.checked_mul(*size));
            if wanted != Some(values as u64) {
                return Err(format!("`{name}` is {:?} and has {values} values", tensor.shape));
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Inferred>> {
        self.inferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_messages(&self, what: &str) -> String {
        format!("{what} of {}", self.name)
    }
}

impl TensorFunction for PluginFunction {
    fn check_options(&self, options: &str) -> Result<(), String> {
        let given = serde_json::from_str(options).map_err(|why| why.to_string())?;
        let schema = self.plugin.manifest().functions[&self.name].options.as_ref();
        let wrong = validate_options(schema, &given).map_err(|error| in_one(&error))?;
        let words = |wrong: &OptionError| match wrong.pointer.as_str() {
            "" => wrong.message.clone(),
            pointer => format!("{pointer}: {}", wrong.message),
        };
        match wrong.iter().map(words).collect::<Vec<_>>() {
            wrong if wrong.is_empty() => Ok(()),
            wrong => Err(wrong.join("; ")),
        }
    }

    fn infer(&self, options: &str, inputs: &[Option<ForeignType>]) -> Result<Vec<ForeignType>, String> {
        self.types(options, inputs)
            .map(|inferred| inferred.outputs)
            .map_err(|error| in_one(&error))
    }

    fn compute(
        &self,
        options: &str,
        inputs: Vec<Option<ForeignTensor>>,
        lengths: &[u64],
    ) -> Result<Vec<ForeignTensor>, String> {
        let rows = lengths.iter().sum();
        let fitting = self.fitting(options, &inputs, rows).map_err(|error| in_one(&error))?;
        let groups = match fitting.as_slice() {
            [one] => groups(one, &inputs, lengths),
            _ => None,
        };
        let Some(groups) = groups else {
            return self
                .call(options, inputs, lengths, &fitting)
                .map_err(|error| in_one(&error));
        };
        let mut results: Vec<ForeignTensor> = Vec::new();
        let mut from = 0;
        for group in groups {
            let lengths = &lengths[group];
            let taken: u64 = lengths.iter().sum();
            let cut: Vec<_> = (inputs.iter().zip(&fitting[0].inputs))
                .map(|(tensor, stated)| Some(rows_of(tensor.as_ref()?, stated.as_ref()?, from, taken)))
                .collect();
            let found = self
                .call(options, cut, lengths, &fitting)
                .map_err(|error| in_one(&error))?;
            if results.is_empty() {
                results = found;
            } else {
                results.iter_mut().zip(found).for_each(|(all, more)| append(all, more));
            }
            from += taken;
        }
        Ok(results)
    }
}

/// Runs of sequences whose rows together stay below the limit; `None` where one call takes all.
fn groups(
    inferred: &Inferred,
    inputs: &[Option<ForeignTensor>],
    lengths: &[u64],
) -> Option<Vec<std::ops::Range<usize>>> {
    let has_rows = |found: &ForeignType| found.dims.first() == Some(&ForeignDim::Rows);
    let rows: u64 = lengths.iter().sum();
    let (mut row, mut beside) = (0u64, 0u64);
    for (tensor, stated) in inputs.iter().zip(&inferred.inputs) {
        let (Some(tensor), Some(stated)) = (tensor, stated) else {
            continue;
        };
        let size = byte_size(tensor) as u64;
        if has_rows(stated) && rows > 0 {
            row += size / rows;
        } else {
            beside += size;
        }
    }
    let all = row.saturating_mul(rows).saturating_add(beside);
    let can_be_cut = lengths.len() > 1 && row > 0 && inferred.outputs.iter().all(has_rows);
    if !can_be_cut || all <= COMPUTE_BYTES as u64 {
        return None;
    }
    let limit = (COMPUTE_BYTES as u64).saturating_sub(beside);
    let mut groups = Vec::new();
    let (mut start, mut taken) = (0, 0u64);
    for (at, length) in lengths.iter().enumerate() {
        let size = length.saturating_mul(row);
        if at > start && taken.saturating_add(size) > limit {
            groups.push(start..at);
            (start, taken) = (at, 0);
        }
        taken += size;
    }
    groups.push(start..lengths.len());
    Some(groups)
}

/// The rows `from .. from + rows` of an input with rows; another one as it is.
fn rows_of(tensor: &ForeignTensor, stated: &ForeignType, from: u64, rows: u64) -> ForeignTensor {
    if stated.dims.first() != Some(&ForeignDim::Rows) {
        return tensor.clone();
    }
    let width: u64 = tensor.shape[1..].iter().product();
    let range = (from * width) as usize..((from + rows) * width) as usize;
    let values = match &tensor.values {
        ForeignValues::Floats(values) => ForeignValues::Floats(values[range].to_vec()),
        ForeignValues::Ints(values) => ForeignValues::Ints(values[range].to_vec()),
    };
    let mut shape = tensor.shape.clone();
    shape[0] = rows;
    ForeignTensor { shape, values }
}

fn append(all: &mut ForeignTensor, more: ForeignTensor) {
    all.shape[0] += more.shape[0];
    match (&mut all.values, more.values) {
        (ForeignValues::Floats(all), ForeignValues::Floats(more)) => all.extend(more),
        (ForeignValues::Ints(all), ForeignValues::Ints(more)) => all.extend(more),
        // both were checked against one type
        _ => {}
    }
}

fn fit(stated: &ForeignType, given: &ForeignTensor, rows: u64) -> bool {
    stated.kind == kind_of(given)
        && stated.dims.len() == given.shape.len()
        && stated.dims.iter().zip(&given.shape).all(|(dim, size)| match dim {
            ForeignDim::Rows => *size == rows,
            ForeignDim::Size(stated) => stated == size,
        })
}

fn type_of(tensor: &ForeignTensor, rows: u64) -> ForeignType {
    let dim = |(at, size): (usize, &u64)| match at {
        0 if *size == rows => ForeignDim::Rows,
        _ => ForeignDim::Size(*size),
    };
    ForeignType {
        kind: kind_of(tensor),
        dims: tensor.shape.iter().enumerate().map(dim).collect(),
    }
}

fn kind_of(tensor: &ForeignTensor) -> Kind {
    match tensor.values {
        ForeignValues::Floats(_) => Kind::Float,
        ForeignValues::Ints(_) => Kind::Int,
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "floats",
        Kind::Int => "integers",
    }
}

fn byte_size(tensor: &ForeignTensor) -> usize {
    match &tensor.values {
        ForeignValues::Floats(values) => values.len() * 4,
        ForeignValues::Ints(values) => values.len() * 8,
    }
}

fn result_size(types: &[ForeignType], rows: u64) -> usize {
    let size = |found: &ForeignType| {
        let element = match found.kind {
            Kind::Float => 4,
            Kind::Int => 8,
        };
        found.dims.iter().fold(element, |n: u64, dim| {
            n.saturating_mul(match dim {
                ForeignDim::Rows => rows,
                ForeignDim::Size(size) => *size,
            })
        })
    };
    let total = types.iter().map(size).fold(0, u64::saturating_add);
    usize::try_from(total).unwrap_or(usize::MAX)
}

/// `float [rows, 64]`.
fn show(found: &ForeignType) -> String {
    let dims: Vec<String> = (found.dims.iter())
        .map(|dim| match dim {
            ForeignDim::Rows => "rows".to_owned(),
            ForeignDim::Size(size) => size.to_string(),
        })
        .collect();
    format!("{} [{}]", kind_name(found.kind), dims.join(", "))
}

/// A diagnostic as one text, for interfaces that carry no more.
fn in_one(error: &Diagnostic) -> String {
    let mut text = error.message.clone();
    for more in error.notes.iter().chain(&error.help) {
        text.push_str("; ");
        text.push_str(more);
    }
    text
}
