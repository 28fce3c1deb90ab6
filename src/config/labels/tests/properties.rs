//! What holds for all labels: nothing panics, order does not count, and a bad container harms no other.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{Builder, container, replica, world};
use crate::{
    config::labels::{Exposure, LabelSettings, Translator, translate},
    model::{Health, Phase, Workload, WorkloadId},
};

fn key() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "host",
            "path",
            "path.strip",
            "port",
            "scheme",
            "network",
            "weight",
            "route",
            "enable",
            "tls",
            "health.path",
            "hots",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z_.-]{0,8}",
    ];
    prop_oneof![
        word.clone().prop_map(|word| format!("portolan.{word}")),
        ("[a-c]", word).prop_map(|(name, word)| format!("portolan.{name}.{word}")),
        "\\PC{0,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "a.test",
            "a.test,b.test",
            "*.a.test",
            "/",
            "/api",
            "true",
            "false",
            "80",
            "https",
            "0",
            "front",
            "{hostnames: [a.test]}",
            "rules: [{backendRefs: [{name: x, port: 1}]}]",
            "{useDefaultGateways: None}",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,20}",
    ]
}

fn builder() -> impl Strategy<Value = Builder> {
    let phases =
        vec![Phase::Created, Phase::Running, Phase::Exited, Phase::Gone, Phase::Dead, Phase::Terminating];
    let who = prop_oneof![
        "[a-c]{1,2}".prop_map(|name| container(&name)),
        "\\PC{0,6}".prop_map(|name| container(&name)),
        ("[pq]", "[st]", 1_u32..4).prop_map(|(project, service, number)| replica(&project, &service, number)),
        ("\\PC{0,3}", "\\PC{0,3}", 1_u32..3)
            .prop_map(|(project, service, number)| replica(&project, &service, number)),
    ];
    let life = (prop::sample::select(phases), any::<bool>(), 0_i64..4);
    let hostname = prop_oneof!["[ab]\\.test", "\\PC{0,6}"];
    (who, prop::collection::vec((key(), value()), 0..5), life, hostname, any::<u32>()).prop_map(
        |(who, labels, (phase, is_healthy, created), hostname, id)| {
            let health = if is_healthy { Health::Unchecked } else { Health::Unhealthy };
            let who = labels.iter().fold(who, |who, (label, value)| who.label(label, value));
            who.phase(phase).health(health).created(created).hostname(&hostname).id(&format!("{id:08x}"))
        },
    )
}

fn worlds() -> impl Strategy<Value = BTreeMap<WorkloadId, Arc<Workload>>> {
    prop::collection::vec(builder(), 0..8).prop_map(world)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every input has an answer: no two objects of one id, and every container's resources exist.
    #[test]
    fn every_world_is_translated(
        workloads in worlds(),
        expose_by_default in prop::sample::select(vec![Exposure::All, Exposure::Enabled]),
    ) {
        let settings = LabelSettings { expose_by_default, ..LabelSettings::default() };
        let translation = translate(&workloads, &settings);
        let ids: Vec<_> = translation.objects.iter().map(|object| object.resource.meta().id.clone()).collect();
        prop_assert!(ids.is_sorted_by(|one, other| one < other));
        for id in translation.resources.values().flatten() {
            prop_assert!(ids.contains(id));
        }
        for object in &translation.objects {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&object.manifest).is_ok());
        }
    }

    /// What is kept of one world never shows in the next, in which some containers are gone, and some are others.
    #[test]
    fn one_world_after_the_other_is_translated_as_each_alone(
        containers in prop::collection::vec((builder(), 0_u8..4, key(), value()), 0..8),
    ) {
        let (first, second): (Vec<_>, Vec<_>) = containers
            .into_iter()
            .map(|(builder, change, label, value)| {
                let next = match change {
                    0 => Some(builder.clone()),
                    1 => Some(builder.clone().label(&label, &value)),
                    2 => Some(builder.clone().phase(Phase::Exited).created(9)),
                    _ => None,
                };
                (builder, next)
            })
            .unzip();
        let (first, second) = (world(first), world(second.into_iter().flatten()));
        let settings = LabelSettings::default();
        let mut translator = Translator::default();
        for workloads in [&first, &second, &second, &first] {
            prop_assert_eq!(translator.translate(workloads, &settings), translate(workloads, &settings));
        }
    }

    /// What an id happens to sort like does not count where ages and names differ.
    #[test]
    fn the_order_of_ids_does_not_count(seed in prop::collection::vec(value(), 4), turn in 0_usize..4) {
        let build = |turn: usize| {
            world((0..4).map(|index| {
                let id = format!("{}", (index + turn) % 4);
                let created = i64::try_from(index).unwrap();
                let name = format!("c{index}");
                container(&name).label("portolan.host", &seed[index]).created(created).id(&id)
            }))
        };
        let shape = |workloads| {
            let translation = translate(&workloads, &LabelSettings::default());
            translation.objects.into_iter().map(|object| object.manifest.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(shape(build(0)), shape(build(turn)));
    }

    /// A container of any labels, with a name and hosts of its own, changes nothing for ninety-nine others.
    #[test]
    fn one_bad_container_harms_no_other(labels in prop::collection::vec((key(), "[^a]{0,12}"), 0..6)) {
        let others = || (0..99).map(|index| {
            let host = format!("h{}.test", index % 40);
            let web = replica("shop", &format!("s{}", index % 30), index).label("portolan.host", &host);
            web.created(i64::from(index))
        });
        let bad = labels.iter().fold(container("zzz").created(-1), |bad, (label, value)| bad.label(label, value));
        let settings = LabelSettings::default();
        let alone = translate(&world(others()), &settings);
        let together = translate(&world(others().chain([bad])), &settings);
        for object in &alone.objects {
            prop_assert!(together.objects.contains(object));
        }
        for (id, problems) in &alone.problems {
            prop_assert_eq!(together.problems.get(id), Some(problems));
        }
    }
}
