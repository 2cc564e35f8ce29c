//! `sli-pipe plugins pack MODULE --manifest plugin.toml -o plugins/x.wasm`.

use std::path::{Path, PathBuf};

use sli_config::{Diagnostic, SourceFile};

use super::args::PackArgs;
use crate::failure::{Failure, Outcome};
use crate::output::print;

/// Makes the plugin and writes it.
pub(super) fn pack(args: &PackArgs) -> Outcome {
    let wasm = std::fs::read(&args.module).map_err(|why| unreadable(&args.module, &why))?;
    let text = std::fs::read_to_string(&args.manifest).map_err(|why| unreadable(&args.manifest, &why))?;
    let manifest = SourceFile::new(args.manifest.display().to_string(), text);
    let (bytes, manifest) = sli_plugin::pack::pack(&args.module.display().to_string(), &wasm, manifest)?;
    let id = &manifest.id.value;
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("plugins/{id}.wasm")));
    if file.file_stem().is_none_or(|stem| stem != id.as_str()) {
        let message = format!("`{}` is not the name of a plugin with the id `{id}`", file.display());
        let help = format!("a plugin's file is called as its id says: `{id}.wasm`");
        return Err(Failure::input(Diagnostic::error(message).help(help)));
    }
    write(&file, &bytes).map_err(|why| {
        let message = format!("`{}` cannot be written: {why}", file.display());
        Failure::Run(vec![Diagnostic::error(message)])
    })?;
    print(&format!("{}: {} bytes\n", file.display(), bytes.len()))
}

fn unreadable(file: &Path, why: &std::io::Error) -> Failure {
    Failure::input(Diagnostic::error(format!("`{}` cannot be read: {why}", file.display())))
}

/// By a temporary name, so that who watches the folder never sees half a file.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(".pack-").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temporary.as_file().set_permissions(mode)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}
