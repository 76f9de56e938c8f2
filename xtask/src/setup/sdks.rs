//! The providers' official Python SDKs, for the tests that speak with them: a virtual environment in the cache.
//!
//! pip installs into the environment's folder from outside. So it needs no pip of its own, which Debian's Python
//! cannot give it without another package, and a pip of any age will do. Only where PyPI cannot be reached are the
//! tests skipped; whatever else fails is an error, since a suite that tests nothing must not be green.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::python::{pip, python};
use super::{Found, cache_dir, work_dir};
use crate::process;
use crate::versions::Sdks;

/// What a missing Python is missing for.
const PURPOSE: &str = "install the SDKs with: install it, with pip";

/// A small package that PyPI has had for long: who cannot get it cannot reach PyPI.
const ALWAYS_THERE: &str = "typing-extensions";

/// Prints Python's own version, and the versions of the packages it is given that are installed, one a line.
const TELL_VERSIONS: &str = "
import importlib.metadata, platform, sys
print('python', platform.python_version())
for name in sys.argv[1:]:
    print(name, importlib.metadata.version(name))
";

/// Prints the folder packages are installed to.
const TELL_PACKAGES_FOLDER: &str = "import sysconfig; print(sysconfig.get_path('purelib'))";

/// The Python that has the pinned SDKs, installing them if there is none.
pub(super) fn ensure(pinned: &Sdks) -> Result<Found> {
    let version = process::capture(python(PURPOSE)?.args(["-c", TELL_VERSIONS]))?;
    let folder = cache_dir()?.join("sdks").join(folder_name(pinned, &version));
    let cached = folder.join("bin/python");
    // Also made anew when it no longer runs: the Python it was made with may have been removed since.
    if has_all(&cached, pinned) {
        return Ok(Found::At(cached));
    }
    eprintln!("setup: installing the SDKs to {}", folder.display());
    // Asked apart, so that a missing pip is not taken for a missing network.
    process::capture(python(PURPOSE)?.args(["-m", "pip", "--version"]))
        .context("install pip for Python 3")?;
    let work = work_dir()?;
    let fresh = work.path().join("environment");
    process::run(python(PURPOSE)?.args(["-m", "venv", "--without-pip"]).arg(&fresh))
        .context("this Python makes no virtual environment")?;
    if let Err(error) = install(pinned, &fresh.join("bin/python")) {
        if reaches_pypi(work.path())? {
            return Err(error);
        }
        let reason = "PyPI cannot be reached";
        eprintln!("setup: SDK tests are skipped: {reason}");
        return Ok(Found::Skipped(reason.into()));
    }
    put_in_place(&fresh, &folder, pinned)?;
    Ok(Found::At(cached))
}

/// `PACKAGE-VERSION+...+python-VERSION`: what is inside, so that another pin is another folder.
fn folder_name(pinned: &Sdks, python_version: &str) -> String {
    let mut parts: Vec<String> =
        pinned.iter().map(|(package, version)| format!("{package}-{version}")).collect();
    parts.push(python_version.trim().replace(' ', "-"));
    parts.join("+")
}

/// Whether this Python runs and has every package in its pinned version.
fn has_all(python: &Path, pinned: &Sdks) -> bool {
    let told = process::capture(Command::new(python).args(["-c", TELL_VERSIONS]).args(pinned.keys()));
    let Ok(told) = told else { return false };
    pinned.iter().all(|(package, version)| told.lines().any(|line| line == format!("{package} {version}")))
}

/// Installs the pinned packages, and what they need, where `python` finds them.
fn install(pinned: &Sdks, python: &Path) -> Result<()> {
    let packages = process::capture(Command::new(python).args(["-c", TELL_PACKAGES_FOLDER]))?;
    let mut pip = pip(PURPOSE, "install")?;
    pip.args(["--retries", "2", "--timeout", "15", "--target", packages.trim()]);
    // Both would speak of the Python that pip runs in, which stays as it is.
    pip.arg("--no-warn-conflicts").env("PIP_ROOT_USER_ACTION", "ignore");
    pip.args(pinned.iter().map(|(package, version)| format!("{package}=={version}")));
    process::run(&mut pip).context("cannot install the SDKs that versions.toml pins")
}

/// Whether the index itself can be asked: by pip, which knows the proxies, mirrors and certificates of this machine.
fn reaches_pypi(folder: &Path) -> Result<bool> {
    let mut pip = pip(PURPOSE, "download")?;
    pip.args(["--retries", "2", "--timeout", "15", "--no-cache-dir", "--no-deps", "--dest"]).arg(folder);
    // A folder of wheels on this machine is no index.
    Ok(process::run(pip.arg(ALWAYS_THERE).env_remove("PIP_FIND_LINKS")).is_ok())
}

/// Moves the finished environment to `target`. Its Python finds its packages by its own place, so it may be moved.
fn put_in_place(fresh: &Path, target: &Path, pinned: &Sdks) -> Result<()> {
    let parent = target.parent().context("the cache has no folder for the SDKs")?;
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let python = target.join("bin/python");
    if target.exists() && !has_all(&python, pinned) {
        std::fs::remove_dir_all(target).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    match std::fs::rename(fresh, target) {
        // A setup running beside this one was faster; its result is as good.
        Err(_) if has_all(&python, pinned) => Ok(()),
        result => result.with_context(|| format!("cannot write {}", target.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pin_or_python_is_another_folder() {
        let pinned =
            Sdks::from([("openai".to_owned(), "1.2.3".to_owned()), ("a".to_owned(), "4".to_owned())]);
        assert_eq!(folder_name(&pinned, "python 3.11.7\n"), "a-4+openai-1.2.3+python-3.11.7");
    }

    #[test]
    fn a_python_that_does_not_run_or_lacks_a_package_has_not_all() {
        let pinned = Sdks::from([("no-such-package-anywhere".to_owned(), "1".to_owned())]);
        assert!(!has_all(Path::new("/nonexistent/python"), &pinned));
        if let Some(python) = process::on_path("python3") {
            assert!(!has_all(&python, &pinned));
            assert!(has_all(&python, &Sdks::new()));
        }
    }
}
