//! How the files that a process may have open are shared out.

use super::*;

fn workers(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[test]
fn connections_never_take_all_files_and_each_side_has_its_half() {
    for files in (0..3000).chain([20_000, 1 << 20, u64::MAX]) {
        for number in [1, 2, 3, 64] {
            let limits = Limits::default().within(files, workers(number));
            let (clients, endpoints) = (limits.connections, limits.endpoint_connections);
            assert!(clients >= 1 && endpoints >= 1, "{files} files, {number} workers");
            assert!(clients <= endpoints && endpoints <= clients + 1 || clients == 16 << 10, "{limits:?}");
            let all = u64::try_from((clients + endpoints) * number).unwrap();
            let is_enough = files >= 200 * number as u64;
            assert!(!is_enough || all + 48 <= files, "{files} files, {number} workers: {all} connections");
        }
    }
}

#[test]
fn what_is_left_is_worth_having() {
    for (files, number, expected) in [
        (300, 2, (59, 59)),
        (1024, 2, (220, 220)),
        (1024, 1, (444, 444)),
        (20_000, 2, (4964, 4964)),
        (1 << 20, 2, (16 << 10, 64 << 10)),
        (u64::MAX, 64, (16 << 10, 64 << 10)),
    ] {
        let limits = Limits::default().within(files, workers(number));
        assert_eq!((limits.connections, limits.endpoint_connections), expected, "{files} files");
    }
}
