//! The compose files and the Dockerfile, checked without an engine: every command line is one that `node`
//! understands, every name that is used is declared, and nothing is published beyond this machine.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use yaml_rust2::{Yaml, YamlLoader};

const SYSTEMS: [&str; 5] = ["raftmetrics", "analytics", "metricstream", "raft3d", "distri"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn compose_files() -> Vec<PathBuf> {
    let of = |system: &&str| root().join("nodes/deploy").join(system).join("docker-compose.yml");
    SYSTEMS.iter().map(of).chain([root().join("docker-compose.yml")]).collect()
}

/// A service with what it takes from `<<`.
struct Service<'a> {
    name: &'a str,
    own: &'a Yaml,
}

impl Service<'_> {
    fn get(&self, key: &str) -> &Yaml {
        match &self.own[key] {
            Yaml::BadValue => &self.own["<<"][key],
            found => found,
        }
    }

    /// The words behind `node`.
    fn words(&self) -> Vec<String> {
        let command = match self.get("command") {
            Yaml::Array(parts) => parts[0].as_str().unwrap().to_owned(),
            command => command.as_str().unwrap().to_owned(),
        };
        let command = command.strip_prefix("exec node ").unwrap_or(&command);
        command
            .replace("\"$$(hostname):", "\"container:")
            .replace('"', "")
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    }
}

fn keys(yaml: &Yaml) -> BTreeSet<String> {
    yaml.as_hash().into_iter().flatten().map(|(key, _)| key.as_str().unwrap().to_owned()).collect()
}

fn texts(yaml: &Yaml) -> Vec<String> {
    yaml.as_vec().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn stages() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let named = text.lines().filter_map(|line| line.strip_prefix("FROM ")?.split_once(" AS "));
    named.map(|(_, name)| name.to_owned()).collect()
}

#[test]
fn compose_files_start_what_node_understands() {
    for path in compose_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = YamlLoader::load_from_str(&text).unwrap().remove(0);
        let services = file["services"].as_hash().unwrap();
        assert!(services.len() >= 2, "{path:?}");
        let (mut volumes, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for (name, own) in services {
            let service = Service { name: name.as_str().unwrap(), own };
            let words = service.words();
            let line = std::iter::once("node".to_owned()).chain(words.clone()).map(OsString::from);
            assert_eq!(server::cli::understands(line), Ok(()), "{path:?} {}: {words:?}", service.name);
            assert_eq!(service.get("environment")["RUST_LOG"].as_str(), Some("info"), "{path:?}");
            let context = path.parent().unwrap().join(service.get("build")["context"].as_str().unwrap());
            assert!(context.join("Dockerfile").exists(), "{path:?}: {context:?}");
            let target = service.get("build")["target"].as_str().unwrap();
            assert!(stages().contains(target), "{path:?}: no stage {target}");
            for network in texts(service.get("networks")) {
                assert!(keys(&file["networks"]).contains(&network), "{path:?}: {network}");
            }
            for port in texts(service.get("ports")) {
                assert!(port.starts_with("127.0.0.1:"), "{path:?}: {port} is published to the network");
                assert!(ports.insert(port.clone()), "{path:?}: {port} twice");
            }
            let data = words.iter().skip_while(|word| *word != "--data").nth(1).unwrap();
            let mounted = texts(service.get("volumes"));
            assert!(mounted.iter().any(|volume| volume.ends_with(data)), "{path:?}: {data} is not kept");
            volumes.extend(mounted.iter().filter_map(|v| Some(v.split_once(':')?.0.to_owned())));
        }
        assert_eq!(volumes, keys(&file["volumes"]), "{path:?}");
    }
}

#[test]
fn peers_are_services() {
    for path in compose_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = YamlLoader::load_from_str(&text).unwrap().remove(0);
        let names = keys(&file["services"]);
        for (name, own) in file["services"].as_hash().unwrap() {
            let words = Service { name: name.as_str().unwrap(), own }.words();
            let listed = words.windows(2).filter(|pair| pair[0] == "--peers" || pair[0] == "--join");
            let hosts: Vec<String> = listed
                .flat_map(|pair| pair[1].split(','))
                .map(|peer| peer.rsplit_once(':').unwrap().0.rsplit('=').next().unwrap().to_owned())
                .collect();
            assert!(
                !hosts.is_empty() && hosts.iter().all(|host| names.contains(host)),
                "{path:?}: {hosts:?}"
            );
        }
    }
}

#[test]
fn the_dockerfile_copies_what_is_built() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let stages = stages();
    let copies: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("COPY --from=")).collect();
    assert!(copies.len() >= 3);
    for copy in copies {
        let (stage, paths) = copy.split_once(' ').unwrap();
        assert!(stages.contains(stage), "{copy}");
        for path in paths.split(' ').filter(|path| path.starts_with("/source/target/release/")) {
            let binary = path.rsplit('/').next().unwrap();
            let thin = root().join(format!("nodes/server/src/bin/{binary}.rs"));
            assert!(["node", "loadgen"].contains(&binary) || thin.exists(), "{copy}: who builds {binary}?");
        }
    }
    let manifest = std::fs::read_to_string(root().join("nodes/server/Cargo.toml")).unwrap();
    for feature in text.split("--features ").skip(1).map(|rest| rest.split_whitespace().next().unwrap()) {
        assert!(manifest.contains(&format!("\n{feature} = ")), "the server has no feature {feature}");
    }
}
