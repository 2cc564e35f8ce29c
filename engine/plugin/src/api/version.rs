//! Versions of the contract, and the names that carry them.

use std::fmt;

/// A version of the package `sli-pipe:plugin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64, pub(crate) u64, pub(crate) u64);

/// All versions that this program can talk.
pub(crate) const SUPPORTED: [Version; 1] = [super::v0_1_0::VERSION];
/// The newest of them.
pub(crate) const NEWEST: Version = SUPPORTED[SUPPORTED.len() - 1];

impl Version {
    /// `1.2.3`, without marks of a pre-release.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Version(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }

    /// Whether this program can talk it; else what to tell the user.
    pub(crate) fn supported(self) -> Result<(), (String, String)> {
        if SUPPORTED.contains(&self) {
            return Ok(());
        }
        Err(if self > NEWEST {
            (
                format!("the plugin needs plugin API {self} and this sli-pipe has {NEWEST}"),
                "update sli-pipe".to_owned(),
            )
        } else {
            (
                format!("the plugin was made for plugin API {self}, this sli-pipe has {NEWEST}"),
                "rebuild it with the SDK of this version".to_owned(),
            )
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// `sli-pipe:plugin/log@0.1.0` as (`sli-pipe:plugin`, `log`, `0.1.0`).
pub(crate) fn name_parts(name: &str) -> Option<(&str, &str, Option<&str>)> {
    let (package, rest) = name.split_once('/')?;
    Some(match rest.split_once('@') {
        Some((interface, version)) => (package, interface, Some(version)),
        None => (package, rest, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_that_is_too_old_is_named() {
        assert!(Version(0, 1, 0).supported().is_ok());
        let (newer, help) = Version(0, 2, 0).supported().unwrap_err();
        assert_eq!(newer, "the plugin needs plugin API 0.2.0 and this sli-pipe has 0.1.0");
        assert_eq!(help, "update sli-pipe");
        let (older, help) = Version(0, 0, 3).supported().unwrap_err();
        assert_eq!(
            older,
            "the plugin was made for plugin API 0.0.3, this sli-pipe has 0.1.0"
        );
        assert_eq!(help, "rebuild it with the SDK of this version");
    }

    #[test]
    fn names_fall_into_parts() {
        assert_eq!(
            name_parts("sli-pipe:plugin/log@0.1.0"),
            Some(("sli-pipe:plugin", "log", Some("0.1.0")))
        );
        assert_eq!(name_parts("env"), None);
        assert_eq!(Version::parse("0.1.0-rc.1"), None);
        assert_eq!(Version::parse("1.2.3"), Some(Version(1, 2, 3)));
    }
}
