//! The results as a table and a chart.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

use crate::{
    Results,
    load::Measured,
    peers::Peer,
    scenario::{Protocol, Scenario},
};

pub(crate) fn write(
    folder: &Path,
    scenarios: &[Scenario],
    peers: &[Peer],
    results: &Results,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let table = markdown(scenarios, peers, results)?;
    let (table_path, chart_path) = (folder.join("compare.md"), folder.join("compare.svg"));
    fs::write(&table_path, &table).with_context(|| format!("cannot write `{}`", table_path.display()))?;
    fs::write(&chart_path, svg(scenarios, peers, results)?)?;
    Ok(())
}

/// Portolan's cost as a share of the best peer's.
fn ratio(row: usize, peers: &[Peer], results: &Results) -> Option<f64> {
    let cost = |peer: &Peer| results.get(&(row, peer.name)).map(|measured| measured.cpu_micros);
    let ours = peers.iter().find(|peer| peer.name == "portolan").and_then(cost)?;
    let best = peers.iter().filter(|peer| peer.name != "portolan").filter_map(cost).min_by(f64::total_cmp)?;
    Some(ours / best)
}

fn markdown(scenarios: &[Scenario], peers: &[Peer], results: &Results) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Portolan beside its peers\n\n\
         CPU time of the proxy for a request, in microseconds, on one core with one worker; in brackets the 99th percentile\n\
         of the answer time in milliseconds (HTTP/2: the worst). The last column is Portolan's cost as a share of the best peer's in the same run: below 1 is\n\
         cheaper. Made by `cargo bench --bench compare`.\n\n| |",
    );
    for peer in peers {
        write!(text, " {} {} |", peer.name, peer.version())?;
    }
    text.push_str(" ratio |\n|---|");
    text.push_str(&"--:|".repeat(peers.len() + 1));
    text.push('\n');
    for (row, scenario) in scenarios.iter().enumerate() {
        let unit = if scenario.protocol == Protocol::Idle { " (bytes each)" } else { "" };
        write!(text, "| {}{unit} |", scenario.name)?;
        for peer in peers {
            match results.get(&(row, peer.name)) {
                Some(measured) if scenario.protocol == Protocol::Idle => {
                    write!(text, " {:.0} |", measured.cpu_micros)?;
                }
                Some(Measured { cpu_micros, p99_micros, .. }) => {
                    write!(text, " {cpu_micros:.1} ({:.1}) |", p99_micros / 1e3)?;
                }
                None => text.push_str(" – |"),
            }
        }
        match ratio(row, peers, results) {
            Some(ratio) => writeln!(text, " **{ratio:.2}** |")?,
            None => text.push_str(" – |\n"),
        }
    }
    if let Some((row, _)) = scenarios.iter().enumerate().find(|(_, scenario)| scenario.hosts == 1) {
        text.push_str("| resident memory at rest, MB |");
        for peer in peers {
            match results.get(&(row, peer.name)) {
                #[expect(clippy::cast_precision_loss, reason = "bytes of one process")]
                Some(measured) => write!(text, " {:.1} |", measured.memory as f64 / 1e6)?,
                None => text.push_str(" – |"),
            }
        }
        text.push_str(" |\n");
    }
    Ok(text)
}

/// Bars: the cost of each peer as a multiple of the best.
fn svg(scenarios: &[Scenario], peers: &[Peer], results: &Results) -> anyhow::Result<String> {
    const COLOURS: [&str; 6] = ["#0b6e4f", "#8ab17d", "#e9c46a", "#f4a261", "#e76f51", "#6d597a"];
    const BAR: usize = 12;
    const LEFT: usize = 160;
    const WIDTH: f64 = 560.0;
    /// Bars end here: what is worse is written beside.
    const MOST: f64 = 6.0;
    let group = peers.len() * BAR + 14;
    let height = scenarios.len() * group + 60;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"820\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU for a request, as a multiple of the cheapest (shorter is better)</text>\n"
    );
    for (index, peer) in peers.iter().enumerate() {
        let x = LEFT + index * 100;
        writeln!(
            text,
            "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{}\" y=\"39\">{}</text>",
            COLOURS[index % COLOURS.len()],
            x + 14,
            peer.name
        )?;
    }
    for (row, scenario) in scenarios.iter().enumerate() {
        let top = 54 + row * group;
        writeln!(text, "<text x=\"10\" y=\"{}\">{}</text>", top + peers.len() * BAR / 2 + 4, scenario.name)?;
        let cost = |peer: &Peer| results.get(&(row, peer.name)).map(|measured| measured.cpu_micros);
        let Some(best) = peers.iter().filter_map(cost).min_by(f64::total_cmp) else { continue };
        for (index, peer) in peers.iter().enumerate() {
            let Some(cost) = cost(peer) else { continue };
            let multiple = cost / best.max(f64::EPSILON);
            let length = multiple.min(MOST) / MOST * WIDTH;
            let y = top + index * BAR;
            writeln!(
                text,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.0}\" height=\"{}\" fill=\"{}\"/><text x=\"{:.0}\" y=\"{}\" font-size=\"9\">{multiple:.2}</text>",
                BAR - 2,
                COLOURS[index % COLOURS.len()],
                164.0 + length,
                y + BAR - 3
            )?;
        }
    }
    text.push_str("</svg>\n");
    Ok(text)
}
