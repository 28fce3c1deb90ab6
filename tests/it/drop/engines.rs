//! The engine goes away and comes back; its containers run on, and so do the requests.

use super::{HOLD, Scene, load::ALL};
use crate::support::private_engine::PrivateEngine;

#[test]
fn drop_the_engine_restarts() {
    let Some(own) = PrivateEngine::start() else { return };
    let scene = Scene::at(own.engine.clone());
    let pair = [(); 2].map(|()| scene.replica().start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    for signal in ["TERM", "KILL", "TERM"] {
        own.end(signal);
        load.goes_on();
        own.resume();
        for one in &pair {
            load.reaches(&one.name);
        }
    }
    load.ends(HOLD);
    drop((pair, scene));
}
