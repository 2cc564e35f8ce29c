//! A run: everything checked and planned first, then swept.

mod loading;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::Map;
use sha2::{Digest, Sha256};
use sli_checkpoint::{Checkpoint, OpenFiles, ReadChoice};
use sli_config::{Diagnostic, Pipeline};
use sli_model::ModelPlan;
use sli_model::bind::Binding;

use crate::data::{DataOptions, Dataset, load};
use crate::demand::Demand;
use crate::describe::{Described, describe};
use crate::error::{Result, RunError};
use crate::limits::{fields, limits};
use crate::memory;
use crate::observer::{Event, Observer};
use crate::options::{EngineOptions, decide};
use crate::plan::{Costs, Layout, NONE, Plan, Schedule, Shape, StageCost, Work, choose, group_limit, layout};
use crate::plugins::StagePlugins;
use crate::points::{PointId, Points};
use crate::rates::{rates, write_rate};
use crate::report::{Accuracy, DataReport, DiskReport, MemoryReport, Pair, Report, TimeSplit, rate};
use crate::rundir::{self, Fingerprint, Output, RunDir};
use crate::stages::{self, Built, Context, Formattings, Model, Stage};
use crate::sweep::{Engine, Inputs, Placement, device_error, read_error};
use crate::units::units;
use crate::write::{hex, sha256_of};

/// What a run is made from.
pub struct Setup<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Folder that `[data] source` is relative to: that of the pipeline file.
    pub base: &'a Path,
    /// The model's files.
    pub checkpoint: Arc<Checkpoint>,
    /// The family applied to the model's `config.json`.
    pub plan: ModelPlan,
    /// The plan tied to the model's tensors.
    pub binding: Binding,
    /// Fingerprint of the family's descriptor.
    pub descriptor: String,
    /// Stages that are plugins.
    pub plugins: StagePlugins,
}

/// A run that is checked and planned. Nothing of the weights is read yet, nothing is written.
pub struct Run {
    name: String,
    dir: PathBuf,
    overwrite: bool,
    checkpoint: Arc<Checkpoint>,
    model: ModelPlan,
    binding: Binding,
    fields: Vec<usize>,
    points: Points,
    demand: Demand,
    dataset: Arc<Dataset>,
    stages: Vec<Box<dyn Stage>>,
    formattings: Formattings,
    options: EngineOptions,
    schedule: Schedule,
    layout: Layout,
    files: Arc<OpenFiles>,
    read: ReadChoice,
    fingerprint: Fingerprint,
    plan: Plan,
    warnings: Vec<Diagnostic>,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The run directory.
    pub dir: PathBuf,
    /// Its outputs.
    pub outputs: Vec<Output>,
    /// `report.json`.
    pub report: Report,
}

impl Run {
    /// Checks everything and plans the run: stages against the model, the output folder, all documents, the
    /// memory budget. Rows are read and tokenised; weights are not.
    ///
    /// # Errors
    /// Whatever is wrong with the pipeline, the data or the budget.
    pub fn prepare(setup: Setup<'_>, observer: &dyn Observer) -> Result<Run> {
        let Setup {
            pipeline,
            base,
            checkpoint,
            plan: model,
            binding,
            descriptor,
            mut plugins,
        } = setup;
        let code: BTreeMap<String, String> = (plugins.iter())
            .map(|(stage, plugin)| (stage.clone(), plugin.digest.clone()))
            .collect();
        memory::tune_allocator();
        let options = decide(&pipeline.engine, &checkpoint)?;
        sli_torch::set_threads(options.threads);
        let dir = PathBuf::from(&pipeline.output.dir.value);
        rundir::check(&dir, pipeline.output.overwrite)?;

        let (names, fields) = fields(&model)?;
        let all = units(&model, &binding);
        let missing = binding
            .heads
            .iter()
            .filter_map(|head| Some((head.name.clone(), head.reason.clone()?)));
        let reasons: Vec<(String, String)> = missing.chain(model.unavailable.iter().cloned()).collect();
        let points = Points::new(&model, &all, &fields, &reasons);
        let view = Model {
            plan: &model,
            units: &all,
            points: &points,
        };
        let Built {
            mut stages,
            filters,
            formattings,
            mut warnings,
        } = stages::build(&pipeline.stages, &view, &mut plugins)?;
        let wanted: Vec<PointId> = stages.iter().flat_map(|stage| stage.points().to_vec()).collect();
        let whole: Vec<PointId> = stages
            .iter()
            .filter(|stage| stage.whole())
            .flat_map(|stage| stage.points().to_vec())
            .collect();
        let demand = Demand::new(&all, &points, &wanted, &whole, &binding.resident);

        let data = data_options(pipeline, base, &checkpoint);
        let limits = limits(&model, &all, checkpoint.config(), &pipeline.data, &names, &fields);
        let dataset = Arc::new(load(&data, &limits, &filters, observer)?);
        // The tokenizer's tables are gone; what they took can go back to the system.
        memory::trim();
        warnings.extend(data_warnings(&dataset));
        stages.iter_mut().for_each(|stage| stage.attach(&dataset));

        let work = Work {
            plan: &model,
            units: &all,
            demand: &demand,
            points: &points,
            checkpoint: &checkpoint,
            compute: options.compute,
            fields: &fields,
            dataset: &dataset,
            row_by_row: options.device.is_cpu(),
        };
        let files = OpenFiles::open(&checkpoint).map_err(read_error)?;
        let read = sli_checkpoint::choose(&files);
        let shape = Shape {
            dataset: &dataset,
            budget: options.budget,
            process: memory::resident(),
            device_budget: options.device_budget,
            ahead: options.prefetch.unwrap_or(AHEAD),
            spill: options.spill,
            all_experts: options.all_experts,
            rates: rates(&read, &work, &dataset, write_rate(&dir, &options, &checkpoint)),
        };
        let stage_costs = stage_costs(&stages);
        let mut layouts = layouts(&work, stage_costs, &options)?;
        let costs: Vec<&Costs> = layouts.iter().map(|layout| &layout.costs).collect();
        let chosen = choose(&costs, &shape);
        let (number, schedule) = chosen.map_err(|smallest| too_small(&options, smallest, &dataset))?;
        let layout = layouts.swap_remove(number);
        let written = stages.iter().map(|stage| stage.write_bytes()).sum();
        let plan = describe(&Described {
            model: &model,
            options: &options,
            shape: &shape,
            layout: &layout,
            schedule: &schedule,
            written,
        });
        let decided = Decided {
            pipeline,
            options: &options,
            code: &code,
        };
        let fingerprint = fingerprint(&decided, &checkpoint, descriptor, &dataset, &data.tokenizer)?;
        drop(all);
        let (name, overwrite) = (pipeline.name.clone(), pipeline.output.overwrite);
        Ok(Run {
            name,
            dir,
            overwrite,
            checkpoint,
            model,
            binding,
            fields,
            points,
            demand,
            dataset,
            stages,
            formattings,
            options,
            schedule,
            layout,
            files,
            read,
            fingerprint,
            plan,
            warnings,
        })
    }

    /// What the run will do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What does not stop the run but should be known: patterns that match nothing, documents left out.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Fingerprints of everything that decides the results.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Names of all values, in the order in which a sweep computes them: the values inside a layer come before its output.
    pub fn points_in_order(&self) -> Vec<String> {
        let mut points: Vec<_> = self.points.iter().map(|(_, point)| point).collect();
        points.sort_by_key(|point| (point.unit, point.value));
        points.into_iter().map(|point| point.name.clone()).collect()
    }

    /// Runs it. `cancel` may be set at any time to stop it; the outputs so far are then removed.
    ///
    /// # Errors
    /// The disk, the kernels, a cancellation. No file is left that looks whole.
    pub fn execute(mut self, observer: &dyn Observer, cancel: &Arc<AtomicBool>) -> Result<Finished> {
        self.warnings
            .iter()
            .for_each(|warning| observer.event(&Event::Warning(warning)));
        observer.event(&Event::Started(&self.plan));
        let start = Instant::now();
        let mut dir = RunDir::create(&self.dir, self.overwrite)?;
        let resident = self.load_resident(cancel)?;
        let dataset = Arc::clone(&self.dataset);
        let mut stages = std::mem::take(&mut self.stages);
        let mut context = Context {
            dataset: &dataset,
            dir: &mut dir,
            formattings: &self.formattings,
        };
        for stage in &mut stages {
            stage.begin(&mut context)?;
        }
        let mut feed = self.feed(cancel)?;
        let all = units(&self.model, &self.binding);
        let (slots, bytes) = self.schedule.device_slots;
        let placement = Placement::new(self.options.device, slots, bytes).map_err(device_error)?;
        let inputs = Inputs {
            plan: &self.model,
            units: &all,
            demand: &self.demand,
            mixtures: &self.layout.mixtures,
            lookups: &self.layout.lookups,
            points: &self.points,
            checkpoint: &self.checkpoint,
            resident,
            device: self.options.device,
            dataset: &dataset,
            schedule: &self.schedule,
            fields: &self.fields,
            compute: self.options.compute,
            dir: &self.dir,
            cancel,
            observer,
        };
        let mut engine = Engine::new(inputs, placement);
        engine.run(&mut feed, &mut stages, &mut context)?;
        let (times, experts, startup) = (std::mem::take(&mut engine.times), engine.expert_bytes, engine.startup);
        let spilled = engine.spilled;
        let read = feed.stats();
        // Locks of pages end before the arenas do.
        drop(engine);
        drop(feed);
        let mut found = Map::new();
        for stage in &mut stages {
            let summary = stage.finish(&mut context)?;
            found.insert(stage.name().to_owned(), summary);
        }
        let total = start.elapsed().as_secs_f64();
        let time = TimeSplit {
            startup_seconds: startup,
            ..TimeSplit::of(&times, total, dir.write_seconds())
        };
        let disk = DiskReport {
            bytes: read.bytes,
            read_seconds: read.read_seconds,
            idle_seconds: read.arena_wait_seconds,
            gb_per_second: rate(read.bytes, read.read_seconds),
            gb_per_second_of_run: rate(read.bytes, total),
            probed_gb_per_second: self.read.bytes_per_second.map(|rate| rate / 1e9),
            how: read.how.to_string(),
        };
        let (memory, prediction, peak) = (&self.plan.memory, &self.plan.prediction, memory::peak());
        let accuracy = Accuracy {
            seconds: pair(prediction.seconds, total),
            read_bytes: pair(prediction.read_bytes, read.bytes),
            spill_bytes: pair(prediction.spill_bytes, spilled.bytes_written),
            peak_memory: pair(memory.peak, peak),
        };
        let report = Report {
            version: 1,
            name: self.name.clone(),
            device: self.options.device.to_string(),
            threads: self.options.threads,
            memory: MemoryReport {
                promised: memory.budget + memory.overhead,
                planned: memory.peak,
                peak,
            },
            accuracy,
            tokens_per_second: dataset.total_tokens() as f64 / total.max(f64::MIN_POSITIVE),
            spill: self.schedule.spill.then_some(spilled),
            experts: (experts.all_bytes > 0).then_some(experts),
            bytes_written: dir.outputs().iter().map(|output| output.bytes).sum(),
            data: DataReport::of(&dataset),
            stages: found,
            units: times,
            warnings: self.warnings.iter().map(|warning| warning.message.clone()).collect(),
            plan: self.plan.clone(),
            time,
            disk,
        };
        let outputs = dir.commit(self.fingerprint.clone(), &report)?;
        observer.event(&Event::Finished);
        Ok(Finished {
            dir: self.dir,
            outputs,
            report,
        })
    }
}

/// Units that may be in memory beside the one that computes: with one only, the drive rests whenever it is the faster
/// of the two for a moment.
const AHEAD: usize = 2;

/// The layouts to choose from: experts apart from their layer, and with it.
///
/// # Errors
/// Routed experts and hidden state on disk, both asked for.
fn layouts(work: &Work<'_>, stages: StageCost, options: &EngineOptions) -> Result<Vec<Layout>> {
    let apart = layout(work, stages, Some(group_limit(options.budget)));
    if apart.mixtures.iter().all(Vec::is_empty) {
        return Ok(vec![apart]);
    }
    match (options.all_experts, options.spill) {
        (Some(false), [true]) => Err(RunError::input(
            Diagnostic::error("experts cannot be read on their own while hidden state is on disk")
                .note("the rows of all documents meet at every expert")
                .help(
                    "set `[engine] experts` to `\"auto\"` or `\"all\"`, or `activations` to `\"auto\"` or `\"memory\"`",
                ),
        )),
        (Some(false), _) => Ok(vec![apart]),
        (Some(true), _) => Ok(vec![layout(work, stages, None), apart]),
        (None, _) => Ok(vec![apart, layout(work, stages, None)]),
    }
}

fn pair<T>(predicted: T, measured: T) -> Pair<T> {
    Pair { predicted, measured }
}

fn data_options(pipeline: &Pipeline, base: &Path, checkpoint: &Checkpoint) -> DataOptions {
    let section = &pipeline.data;
    let shown = section.source.value.clone();
    DataOptions {
        source: if shown == "-" {
            PathBuf::from("-")
        } else {
            base.join(&shown)
        },
        shown,
        format: section.format,
        text: section.text.clone(),
        whole: section.whole,
        limit: section.limit,
        special_tokens: section.add_special_tokens,
        tokenizer: checkpoint.dir().join("tokenizer.json"),
    }
}

fn data_warnings(dataset: &Dataset) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut warn = |count: u64, what: String| {
        if count > 0 {
            warnings.push(Diagnostic::warning(what));
        }
    };
    warn(
        dataset.skipped,
        format!("{} empty documents were left out", dataset.skipped),
    );
    let (documents, tokens) = (dataset.truncated, dataset.tokens_cut);
    warn(
        documents,
        format!("{documents} documents were too long: {tokens} tokens were cut off"),
    );
    warn(
        dataset.split,
        format!("{} documents were too long and became several", dataset.split),
    );
    warnings
}

fn stage_costs(stages: &[Box<dyn Stage>]) -> StageCost {
    let costs = stages.iter().map(|stage| stage.cost());
    // Stages take a value one after the other, so only the hungriest counts for rows.
    costs.fold(StageCost::default(), |all, cost| StageCost {
        fixed: all.fixed + cost.fixed,
        per_row: all.per_row.max(cost.per_row),
        per_chunk_row: all.per_chunk_row.max(cost.per_chunk_row),
    })
}

fn too_small(options: &EngineOptions, smallest: u64, dataset: &Dataset) -> RunError {
    let longest = (0..dataset.len())
        .map(|document| dataset.tokens(document))
        .max()
        .unwrap_or(0);
    let show = memory::show;
    let message = format!(
        "the memory budget of {} is too small for this model and these documents",
        show(options.budget)
    );
    if smallest >= NONE {
        let budget = show(options.device_budget.unwrap_or(0));
        let message = format!("{budget} of the device's memory are too small for this model and these documents");
        return RunError::input(
            Diagnostic::error(message)
                .note(format!("the longest document has {longest} tokens"))
                .help(
                    "set `[engine] gpu_memory` larger, `[data] max_tokens` smaller, or `[engine] device` to `\"cpu\"`",
                ),
        );
    }
    let mib = smallest >> 20;
    RunError::input(
        Diagnostic::error(message)
            .note(format!("the longest document has {longest} tokens"))
            .help(format!("set `[engine] memory` to at least `\"{mib}MiB\"`")),
    )
}

/// What decides results beside model, family and documents.
struct Decided<'a> {
    pipeline: &'a Pipeline,
    options: &'a EngineOptions,
    /// Digest of the plugin of each stage that is one.
    code: &'a BTreeMap<String, String>,
}

fn fingerprint(
    decided: &Decided<'_>,
    checkpoint: &Checkpoint,
    descriptor: String,
    dataset: &Dataset,
    tokenizer: &Path,
) -> Result<Fingerprint> {
    // Memory, threads and the output folder do not decide results; documents are in `data`.
    let mut options = serde_json::json!({
        "compute": decided.options.compute.name(),
        "stages": decided.pipeline.stages,
    });
    if !decided.code.is_empty() {
        options["plugins"] = serde_json::json!(decided.code);
    }
    Ok(Fingerprint {
        model: checkpoint.fingerprint().map_err(read_error)?,
        descriptor,
        tokenizer: if tokenizer.is_file() {
            sha256_of(tokenizer)?
        } else {
            String::new()
        },
        data: dataset.fingerprint(),
        options: hex(&Sha256::digest(options.to_string())),
    })
}
