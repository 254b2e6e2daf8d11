//! The built programs on bad networks: lines that lose, delay and hold up, that are cut and come back, and connections that are reset.
//! Each network is a namespace of its own, made and unmade by the test, so these tests want root.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that fails says so by panicking; these programs live in real time; `site` is shared with another set of tests"
)]
mod bad_line;
mod half_open;
mod namespace;
mod partitions;
mod proxy;
mod resets;
#[path = "../end_to_end/site.rs"]
mod site;
#[path = "../end_to_end/texts.rs"]
mod texts;
mod wire;

/// They wait more than they work: at the same time they take as long as the longest.
#[test]
fn every_scene_at_once() {
    let scenes: [fn(); 6] = [
        bad_line::a_check_in_arrives_where_a_third_of_all_packets_is_lost,
        half_open::a_relay_that_is_gone_without_a_word_is_let_go_of_and_so_are_its_clients,
        partitions::a_line_that_is_cut_in_the_middle_of_a_beat_loses_nothing,
        partitions::a_line_that_is_cut_in_the_middle_of_a_visit_loses_nothing,
        resets::a_desk_whose_connections_are_reset_after_any_record_receives_and_answers_once,
        resets::a_visit_that_is_reset_after_any_record_delivers_its_letter_once,
    ];
    // Built once, before any scene's clock runs.
    let _built = site::program("porchlight");
    std::thread::scope(|scope| {
        let scenes = scenes.map(|scene| scope.spawn(scene));
        let failed = scenes.into_iter().filter_map(|scene| scene.join().err()).count();
        assert_eq!(failed, 0, "scenes that failed");
    });
}
