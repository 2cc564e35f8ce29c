//! `cargo xtask bench`: how near a run comes to what the machine can do, in ratios against limits that are measured in
//! the same run, round by round.
//!
//! [`rows`] holds what is measured; [`trial`] runs sli-pipe in turn with its limits: the [`drive`] and the
//! [`arithmetic`]. Checkpoints of random numbers come from [`generate`].

mod arithmetic;
mod build;
mod cgroup;
mod chart;
mod drive;
mod generate;
mod history;
mod lab;
mod load;
mod measure;
mod noise;
mod peers;
mod report;
mod ring;
mod rows;
mod shapes;
mod shards;
mod single;
mod statistics;
mod trial;

use std::{fs, path::PathBuf, thread, time::Instant};

use clap::Args;

use self::{
    lab::{Documents, Lab},
    load::Load,
    rows::{PEER_DOCUMENTS, Row, Rows, USUAL_SHAPE},
    shapes::Shape,
};
use crate::{failure::Failure, say, workspace::Workspace};

/// Where the chart lies in the repository.
const CHART: &str = "docs/performance.svg";

/// What to measure, and with what.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Rows to measure, as `a,b,g` [default: all but d]
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<Row>,
    /// Rounds of everything; the table shows medians [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    rounds: Option<u8>,
    /// One round, to see that everything works
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Run accelerate and AirLLM, too; the first time this fetches some GB of Python packages
    #[arg(long)]
    peers: bool,
    /// The documents of row c, COUNTxTOKENS
    #[arg(
        long,
        value_name = "DOCUMENTS",
        default_value_t = PEER_DOCUMENTS,
        requires = "peers",
    )]
    peer_documents: Documents,
    /// The `sli-pipe` to measure, instead of one built from this checkout
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// The program of libtorch's products, instead of one built from this checkout
    #[arg(long, value_name = "PATH")]
    products: Option<PathBuf>,
    /// The shape of rows a, b, c and e: a file of `tests/bench/shapes/`
    #[arg(long, value_name = "NAME", default_value = USUAL_SHAPE)]
    shape: String,
    /// Threads that compute, the same for all [default: cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Only make the random checkpoint of the shape, and say where it lies
    #[arg(long)]
    make_only: bool,
    /// Write the chart and a row of the history in `docs/`: of this checkout, with the usual documents
    #[arg(long, conflicts_with_all = ["bin", "products", "peer_documents", "quick"])]
    record: bool,
}

/// Measures, prints the table, and records it where that is asked for.
///
/// # Errors
/// Those of the programs, files and downloads involved.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<(), Failure> {
    let started = Instant::now();
    let shape = Shape::load(workspace, &arguments.shape)?;
    let folder = workspace.target().join("bench");
    fs::create_dir_all(&folder).map_err(Failure::io("create", &folder))?;
    if arguments.make_only {
        let made = generate::ensure(workspace, &shape, &folder)?;
        say::line(format!("The checkpoint is there: {}", workspace.relative(&made)));
        return Ok(());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let lab = Lab {
        workspace,
        folder,
        pipe: build::program(workspace, arguments.bin.as_deref(), "--bin", "sli-pipe")?,
        products: build::program(workspace, arguments.products.as_deref(), "--bench", "products")?,
        threads: arguments.threads.unwrap_or(cores),
        rounds: arguments
            .rounds
            .map_or(if arguments.quick { 1 } else { 3 }, usize::from),
    };
    let mut rows = Rows {
        lab,
        shape,
        peers: arguments.peers.then_some(arguments.peer_documents),
        drive_rates: Vec::new(),
    };
    let wanted = match arguments.rows.as_slice() {
        [] => &Row::USUAL,
        rows => rows,
    };
    let load = Load::now();
    let measures = rows.measure(wanted)?;
    let machine = history::machine(rows.lab.threads, &rows.drive_rates, load.others(cores));
    say::line(format!("\n{machine}\n{}", measure::table(&measures)));
    if arguments.record {
        history::record(workspace, &measures, &machine, rows.lab.rounds)?;
        chart::write(&workspace.root().join(CHART), &measures)?;
        say::line(format!("Recorded in {} and {CHART}", history::DOCUMENT));
    }
    say::line(format!("Done in {}.", say::seconds(started.elapsed())));
    Ok(())
}
