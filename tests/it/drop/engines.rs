//! The engine goes away and comes back; its containers run on, and so do the requests.

use super::{HOLD, ROUNDS, Scene, load::ALL};
use crate::support::private_engine::PrivateEngine;

#[test]
fn drop_the_engine_restarts() {
    let Some(own) = PrivateEngine::start() else { return };
    let scene = Scene::at(own.engine.clone());
    // Nobody takes what they say while the engine is away, and who says too much then has to wait.
    let pair = [(); 2].map(|()| scene.replica().environment("TELL", "").start());
    let load = scene.load(&ALL, &[&pair[0], &pair[1]]);
    for round in 0..ROUNDS {
        own.end(["TERM", "KILL"][round % 2]);
        load.goes_on();
        own.resume();
        for one in &pair {
            load.reaches(&one.name);
        }
    }
    load.ends(HOLD);
    drop((pair, scene));
}
