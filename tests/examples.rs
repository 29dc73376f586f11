//! The configurations in `examples/` start a gateway, and the blocks of the guides are valid configurations.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// The text before the address in the first line of the start message.
const ADDRESS: &str = "http://127.0.0.1:";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a directory with this suffix, in order.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect(directory);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    assert!(!files.is_empty(), "{directory} has no {ending}");
    files
}

/// `vdm` in an empty environment, with its own directory as home and working directory.
fn vdm(home: &Path) -> Command {
    fs::create_dir_all(home).expect("a writable temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
    command.env_clear().env("HOME", home).env("XDG_RUNTIME_DIR", home).current_dir(home);
    command
}

fn home(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("vdm-examples-{test}-{}", std::process::id()))
}

fn validate(home: &Path, config: &Path) -> Output {
    // The guide to web search has this variable set.
    let mut vdm = vdm(home);
    vdm.env("BRAVE_API_KEY", "key-from-brave");
    let output = vdm.args(["config", "validate", "--config"]).arg(config).output();
    output.expect("vdm is built")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// A running gateway, which stops when this is dropped.
struct Gateway {
    child: Child,
    port: String,
}

impl Gateway {
    /// Starts the gateway on a free port of 127.0.0.1.
    fn start(home: &Path, config: &Path) -> Self {
        let arguments = ["server", "start", "--host", "127.0.0.1", "--port", "0", "--config"];
        let mut command = vdm(home);
        command.args(arguments).arg(config).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("vdm is built");
        let (sender, lines) = mpsc::channel();
        let stderr = child.stderr.take().expect("piped");
        // Reads to the end, so that the gateway's writes never block.
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| {
                let _nobody_reads_any_more = sender.send(line);
            });
        });
        let mut gateway = Self { child, port: String::new() };
        let mut log = String::new();
        while gateway.port.is_empty() {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{}: no address in\n{log}", config.display()));
            if let Some((_, rest)) = line.split_once(ADDRESS) {
                gateway.port = rest.chars().take_while(char::is_ascii_digit).collect();
            }
            log.push_str(&line);
            log.push('\n');
        }
        gateway
    }

    fn status_of_health(&self) -> String {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("a reply");
        reply.lines().next().unwrap_or_default().to_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}

#[test]
fn every_example_is_valid_and_starts_a_gateway() {
    let home = home("start");
    for config in files("examples", ".toml") {
        let checked = validate(&home, &config);
        let said = text(&checked);
        assert!(checked.status.success() && !said.contains("warning"), "{}: {said}", config.display());
        let gateway = Gateway::start(&home, &config);
        let status = gateway.status_of_health();
        assert!(status.starts_with("HTTP/1.1 200"), "{}: /health: {status}", config.display());
    }
    fs::remove_dir_all(&home).expect("our directory");
}

/// The content of every block of this language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_toml_block_of_the_guides_is_a_valid_configuration() {
    let home = home("blocks");
    let mut seen = 0;
    for page in files("docs", ".md") {
        let content = fs::read_to_string(&page).expect("readable");
        for block in blocks(&content, "toml") {
            let config = home.join("block.toml");
            if block.starts_with("# ~/.codex/") {
                // A file of Codex.
                continue;
            }
            fs::create_dir_all(&home).expect("a writable temporary directory");
            fs::write(&config, block).expect("our directory");
            let checked = validate(&home, &config);
            assert!(checked.status.success(), "{}: {}\n{block}", page.display(), text(&checked));
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} are found");
    fs::remove_dir_all(&home).expect("our directory");
}

#[test]
fn every_example_is_named_in_the_guide() {
    let guide = fs::read_to_string(root().join("docs/configuration.md")).expect("the guide");
    for config in files("examples", ".toml") {
        let name = config.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(guide.contains(&format!("(../examples/{name})")), "docs/configuration.md lacks {name}");
    }
}

#[test]
fn the_route_in_the_guide_matches_the_output_of_vdm() {
    let home = home("route");
    let config = root().join("examples/cheap-background.toml");
    let output = vdm(&home)
        .args(["explain", "claude-haiku-4-5-20251001", "--config"])
        .arg(config)
        .output()
        .expect("vdm is built");
    let route = String::from_utf8_lossy(&output.stdout).into_owned();
    let guide = fs::read_to_string(root().join("docs/configuration.md")).expect("the guide");
    assert!(guide.contains(&format!("```\n{route}```\n")), "docs/configuration.md must show:\n{route}");
    fs::remove_dir_all(&home).expect("our directory");
}
