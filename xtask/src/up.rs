//! `up`: the whole gateway on this machine, ready when it has answered a prompt.
//!
//! "Ready" is measured where the user stands: not a health endpoint but a real prompt through each Envoy, so that a
//! printed address is one that works. Without a configuration, or without a key in it, the providers are the simulator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::artifacts::{Artifacts, Profile};
use crate::client;
use crate::ports;
use crate::probe::{self, Answer};
use crate::process;
use crate::settings::{self, Settings};
use crate::setup::{self, Need};
use crate::stack::{Interrupted, Stack};
use crate::state::{Addresses, Lock, Request, State};
use crate::workspace::Workspace;

/// What to start.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The configuration [default: ai-warp.yaml if it exists, else a demo against the simulator].
    #[arg(long)]
    config: Option<PathBuf>,
    /// Use the simulator for providers, whatever the configuration says; only its ports are kept.
    #[arg(long)]
    demo: bool,
    /// How many Envoys share the control plane; their ports count up from `server.port`, `streams.port` and `server.adminPort`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    envoys: u16,
    /// Return once ready, with one JSON line of addresses on stdout; `cargo xtask down` stops it.
    #[arg(long)]
    detach: bool,
}

/// The listener's name in the configuration the control plane sends.
const LISTENER: &str = "gateway";
pub(crate) const LOOPBACK: &str = "127.0.0.1";
/// Enough to show that workers share nothing they should not, and few enough for several Envoys on a laptop.
const ENVOY_WORKERS: &str = "2";
/// How long a process may take to bind its ports.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long an Envoy may take to fetch its configuration, compile the filter and answer.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often a real provider is asked before its failure is reported instead: each try may cost money.
const PROVIDER_TRIES: u32 = 3;

/// What was decided before anything starts.
struct Plan {
    settings: Settings,
    /// `None`: the demo.
    config: Option<PathBuf>,
    artifacts: Artifacts,
    /// The package by which the console sends prompts; `None` where there is no console.
    client: Option<PathBuf>,
    envoy: PathBuf,
    envoys: u16,
}

/// One started Envoy.
struct Gateway {
    name: String,
    url: String,
    admin: String,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let folder = workspace.state_dir();
    let config = settings::find(args.config.as_deref())?;
    // Asked for alone, the demo is the same everywhere: a configuration that happens to lie here does not change it.
    let config = if args.demo && args.config.is_none() { None } else { config };
    let request = Request { config: config.clone(), demo: args.demo, envoys: args.envoys };

    if let Some(running) = State::load(&folder)?
        && already_up(&running, &request, args.detach)?
    {
        return Ok(());
    }
    let _lock = Lock::take(workspace)?;
    if let Some(left_over) = State::load(&folder)? {
        eprintln!("an earlier `up` ended without stopping its processes; stopping them now");
        left_over.stop_all();
    }

    let plan = plan(workspace, args, config)?;
    let mut stack = Stack::new(folder, request)?;
    let result = bring_up(&mut stack, &plan).and_then(|addresses| {
        if args.detach {
            return print_json(&addresses);
        }
        announce(workspace, &plan, &addresses);
        stack.watch()
    });
    match result {
        Ok(()) if args.detach => stack.detach(),
        Ok(()) => stack.stop(false),
        Err(error) if error.is::<Interrupted>() => {
            stack.stop(false)?;
            if args.detach { Err(error) } else { Ok(()) }
        }
        Err(error) => {
            stack.stop(true)?;
            let logs = workspace.state_dir();
            Err(error.context(format!("stopped; the logs are in {}", workspace.display(&logs))))
        }
    }
}

/// Whether what is asked for is up. An error if something else is.
fn already_up(running: &State, request: &Request, detach: bool) -> Result<bool> {
    let Some(addresses) = running.addresses.as_ref().filter(|_| running.all_alive()) else {
        return Ok(false);
    };
    let gateways = addresses.gateways.join(", ");
    if running.request != *request {
        bail!("already up with other settings at {gateways}; stop it with `cargo xtask down`");
    }
    eprintln!("already up at {gateways}; `cargo xtask down` stops it");
    if detach {
        print_json(addresses)?;
    }
    Ok(true)
}

/// Sets up, builds and reads the configuration: all that can fail before there is anything to stop.
fn plan(workspace: &Workspace, args: &Args, config: Option<PathBuf>) -> Result<Plan> {
    let given = Artifacts::from_environment()?;
    let builds = given.is_none();
    let (tools, artifacts) = match given {
        Some(artifacts) => (setup::install(&[Need::Envoy])?, artifacts),
        None => {
            let tools = setup::install(&[Need::WasmTarget, Need::Envoy])?;
            eprintln!("building");
            (tools, Artifacts::build(workspace, Profile::Dev)?)
        }
    };
    let settings = match &config {
        Some(file) => Settings::of(&artifacts.control_plane, file)?,
        None => Settings::demo(),
    };
    let config = config.filter(|file| {
        if !args.demo && !settings.has_key() {
            eprintln!(
                "no provider in {} has a key, so the simulator answers instead; set the keys (for example in {}), \
                 or any `apiKey` for a provider that needs none",
                file.display(),
                file.with_file_name(".env").display()
            );
        }
        !args.demo && settings.has_key()
    });
    ports::check(&settings, args.envoys)?;
    // The demo has a console whatever the configuration says whose ports it keeps.
    let client = match client::from_environment() {
        _ if config.is_some() && !settings.console.enabled => None,
        None if builds => Some(client::build(workspace)?),
        given => given,
    };
    let envoy = tools.envoy()?.clone();
    Ok(Plan { settings, config, artifacts, client, envoy, envoys: args.envoys })
}

fn bring_up(stack: &mut Stack, plan: &Plan) -> Result<Addresses> {
    let config = match &plan.config {
        Some(file) => file.clone(),
        None => start_simulator(stack, plan)?,
    };
    let control_plane = start_control_plane(stack, plan, &config)?;
    let mut gateways = Vec::new();
    for index in 0..plan.envoys {
        start_envoy(stack, plan, &control_plane.xds, index)?;
    }
    for index in 0..plan.envoys {
        gateways.push(await_envoy(stack, plan, index)?);
    }
    let addresses = Addresses {
        gateways: gateways.iter().map(|gateway| gateway.url.clone()).collect(),
        admin: gateways.iter().map(|gateway| gateway.admin.clone()).collect(),
        control_plane: format!("http://{}", control_plane.http),
    };
    stack.ready(addresses.clone())?;
    Ok(addresses)
}

/// Starts the simulator and writes the configuration that points at it.
fn start_simulator(stack: &mut Stack, plan: &Plan) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Announcement {
        address: String,
    }
    let name = "simulator";
    stack.start(name, Command::new(&plan.artifacts.simulator).args(["--listen", "127.0.0.1:0"]))?;
    let Announcement { address } = stack.announcement(name, START_LIMIT)?;
    let file = stack.file("ai-warp.yaml");
    let text = settings::demo_config(&plan.settings, &address);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// What `serve --announce` prints.
#[derive(Deserialize)]
struct ControlPlane {
    http: String,
    xds: String,
}

fn start_control_plane(stack: &mut Stack, plan: &Plan, config: &Path) -> Result<ControlPlane> {
    let name = "control plane";
    let mut serve = Command::new(&plan.artifacts.control_plane);
    serve.args(["serve", "--announce", "--config"]).arg(config);
    serve.arg("--filter").arg(absolute(&plan.artifacts.filter)?);
    if let Some(client) = &plan.client {
        serve.arg("--client").arg(absolute(client)?);
    }
    stack.start(name, &mut serve)?;
    let announced: ControlPlane = stack.announcement(name, START_LIMIT)?;
    let announced = ControlPlane { http: dialable(&announced.http), xds: dialable(&announced.xds) };
    let url = format!("http://{}/ready", announced.http);
    stack.wait(name, "to be ready", START_LIMIT, || {
        let answer = probe::get(&url, Duration::from_secs(5))?;
        if answer.status != 200 {
            bail!("{url} answers {}", answer.shown());
        }
        Ok(())
    })?;
    Ok(announced)
}

fn envoy_name(index: u16) -> String {
    format!("envoy {}", index + 1)
}

/// The file in which an Envoy writes its admin address.
fn admin_file(stack: &Stack, index: u16) -> PathBuf {
    stack.file(&format!("envoy-{}.admin", index + 1))
}

fn start_envoy(stack: &mut Stack, plan: &Plan, xds: &str, index: u16) -> Result<()> {
    let server = &plan.settings.server;
    let mut bootstrap = Command::new(&plan.artifacts.control_plane);
    bootstrap.args(["bootstrap", "--control-plane", xds]);
    bootstrap.arg("--admin").arg(format!("{LOOPBACK}:{}", ports::counted(server.admin_port, index)?));
    bootstrap.arg("--node-id").arg(format!("ai-warp-{}", index + 1));
    bootstrap.arg("--filter").arg(absolute(&plan.artifacts.filter)?);
    if index > 0 && server.port != 0 {
        bootstrap.arg("--port").arg(ports::counted(server.port, index)?.to_string());
    }
    if let Some(streams) = plan.settings.streams.as_ref().filter(|_| index > 0) {
        bootstrap.arg("--stream-port").arg(ports::counted(streams.port, index)?.to_string());
    }
    let file = stack.file(&format!("envoy-{}.yaml", index + 1));
    std::fs::write(&file, process::capture(&mut bootstrap)?)
        .with_context(|| format!("cannot write {}", file.display()))?;

    let mut envoy = Command::new(&plan.envoy);
    // Without the hot restart there is no base id to share, so any number of Envoys fit on one machine, and no shared
    // memory stays behind when one is killed.
    envoy.args(["--disable-hot-restart", "--concurrency", ENVOY_WORKERS]);
    envoy.arg("--config-path").arg(&file);
    envoy.arg("--admin-address-path").arg(admin_file(stack, index));
    stack.start(&envoy_name(index), &mut envoy)
}

/// Waits until the Envoy has its listener and has answered a prompt.
fn await_envoy(stack: &mut Stack, plan: &Plan, index: u16) -> Result<Gateway> {
    let name = envoy_name(index);
    let admin_file = admin_file(stack, index);
    let admin = stack.wait(&name, "to open its admin port", START_LIMIT, || {
        let address = std::fs::read_to_string(&admin_file)?;
        if address.is_empty() {
            bail!("{} is still empty", admin_file.display());
        }
        Ok(format!("http://{}", dialable(address.trim())))
    })?;
    let listeners = format!("{admin}/listeners?format=json");
    let address = stack.wait(&name, "to get its listener from the control plane", READY_LIMIT, || {
        let answer = probe::get(&listeners, Duration::from_secs(5))?;
        listener_address(&answer.body).with_context(|| format!("it has no listener `{LISTENER}`"))
    })?;
    let gateway = Gateway { name, url: format!("http://{address}"), admin };
    await_answer(stack, plan, &gateway)?;
    Ok(gateway)
}

/// Sends a prompt until it is answered. A real provider that keeps failing is reported, not waited for: the gateway
/// works, and what to do about the provider is not ours to know.
fn await_answer(stack: &mut Stack, plan: &Plan, gateway: &Gateway) -> Result<()> {
    let url = format!("{}{}", gateway.url, plan.settings.prompt_path);
    let body = json!({"prompt": "Say hello."});
    let demo = plan.config.is_none();
    let mut tries_left = PROVIDER_TRIES;
    stack.wait(&gateway.name, "to answer a prompt", READY_LIMIT, || {
        let answer = probe::post_json(&url, &body, Duration::from_secs(30))?;
        if answer.status == 200 {
            return Ok(());
        }
        if !demo && is_typed(&answer) {
            tries_left = tries_left.saturating_sub(1);
            if tries_left == 0 || [401, 403].contains(&answer.status) {
                eprintln!("warning: {} is up, but a prompt is answered {}", gateway.name, answer.shown());
                return Ok(());
            }
        }
        bail!("a prompt is answered {}", answer.shown())
    })
}

/// Whether an answer is the gateway's own error, rather than Envoy's before its configuration is complete.
fn is_typed(answer: &Answer) -> bool {
    serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body.get("code").is_some())
}

/// The gateway listener's real address in the answer of Envoy's `/listeners?format=json`.
fn listener_address(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    let listeners = value.get("listener_statuses")?.as_array()?;
    let listener =
        listeners.iter().find(|listener| listener.get("name").is_some_and(|name| name == LISTENER))?;
    let socket = listener.pointer("/local_address/socket_address")?;
    let (host, port) = (socket.get("address")?.as_str()?, socket.get("port_value")?.as_u64()?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(dialable(&format!("{host}:{port}")))
}

/// The address to connect to for one that is bound: "every interface" is reached by loopback.
fn dialable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("{LOOPBACK}:{port}"),
        _ => address.to_owned(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

fn print_json(addresses: &Addresses) -> Result<()> {
    println!("{}", serde_json::to_string(addresses).context("cannot write the addresses")?);
    Ok(())
}

fn announce(workspace: &Workspace, plan: &Plan, addresses: &Addresses) {
    println!("AI Warp is up; Ctrl-C stops it.");
    for (gateway, admin) in addresses.gateways.iter().zip(&addresses.admin) {
        println!("  gateway        {gateway}  (its Envoy's admin: {admin})");
    }
    println!("  control plane  {}", addresses.control_plane);
    if plan.config.is_none() || plan.settings.console.enabled {
        println!("  console        {}/console", addresses.control_plane);
    } else {
        println!("  console        off; `console: {{enabled: true}}` in the configuration switches it on");
    }
    println!("  logs           {}", workspace.display(&workspace.state_dir()));
    let Some(gateway) = addresses.gateways.first() else { return };
    let url = format!("{gateway}{}", plan.settings.prompt_path);
    let curl = |body: &str| println!("  curl -X POST {url} -H 'content-type: application/json' -d '{body}'");
    println!("Try it:");
    curl(r#"{"prompt":"Say hello."}"#);
    if plan.config.is_none() {
        println!("The providers are the simulator. Watch a fallback, from one that is down:");
        curl(r#"{"prompt":"Say hello.","models":["openai:down","gemini:ok"]}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_listener_is_found_by_name_and_made_dialable() {
        let json = r#"{"listener_statuses":[
            {"name":"other","local_address":{"socket_address":{"address":"127.0.0.1","port_value":1}}},
            {"name":"gateway","local_address":{"socket_address":{"address":"0.0.0.0","port_value":3042}}}]}"#;
        assert_eq!(listener_address(json).as_deref(), Some("127.0.0.1:3042"));
        assert_eq!(listener_address("{}"), None);
        assert_eq!(dialable("[::]:80"), "127.0.0.1:80");
        assert_eq!(dialable("[::1]:80"), "[::1]:80");
    }
}
