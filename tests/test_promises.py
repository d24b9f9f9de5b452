"""Every sentence that SECURITY.md and docs/reliability.md promise, and the test that shows it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = {
    "SECURITY.md": ("What runs code", "What runs none"),
    "docs/reliability.md": (
        "Nothing that was done is lost",
        "Damage is refused, never used",
        "Workers",
    ),
}
NAMES_TESTS = "names tests, or says what a check is"
ADVICE = "says what a user does, or what other programs do"

TRUST = "cli/test_trust.py"
SAFE = "cli/test_security.py"
DAMAGE = "faults/test_damage.py"
RAY = "faults/test_ray.py"
POOL = "search/test_executors.py"
CHANGED = "cli/test_changed_sources.py"
VALUES = "cli/test_wrong_values.py"

# how a sentence or a row of a table begins: tests, as FILE::NAME, or why it has none
PROMISES: dict[str, list[str] | str] = {
    # SECURITY.md
    "| `--model`, `--task` and `--strategy`": [
        "models/test_registry.py::test_a_factory_of_the_user_is_built_with_its_options",
        "search/test_own_strategy.py::test_the_guides_example_searches",
    ],
    "| `--trust package.module`": [
        f"{TRUST}::test_trust_is_of_one_module_or_factory_and_no_other",
        f"{TRUST}::test_so_does_the_environment",
        f"{TRUST}::test_a_module_can_be_trusted",
    ],
    "| ssh boards in": [
        "profiling/test_ssh.py::test_networks_are_measured_over_ssh_with_their_own_weights"
    ],
    "| a Ray cluster in": ADVICE,
    "A name that you give to a command": [
        f"{TRUST}::test_the_words_of_the_error_let_it_be_built",
        f"{POOL}::test_a_worker_gives_what_is_given_inline",
    ],
    "A search or training of your own network": [
        f"{TRUST}::test_goes_on_once_its_code_is_named_or_trusted",
        f"{TRUST}::test_goes_on_where_its_code_is_named_again",
        "cli/test_resuming.py::test_the_command_that_goes_on_is_named",
    ],
    "| checkpoints, latency tables, `run.json`": [
        f"{TRUST}::test_a_checkpoint_builds_no_code_that_was_not_named",
        f"{TRUST}::test_does_not_build_the_network_it_remembers",
        f"{TRUST}::test_does_not_build_what_run_json_names",
        f"{TRUST}::test_for_targets_does_not_build_what_targets_json_names",
        f"{TRUST}::test_does_not_build_what_config_json_names",
        f"{TRUST}::test_a_checkpoint_that_names_what_no_model_can_be_is_damaged",
        f"{TRUST}::test_does_not_join_a_cluster_that_was_not_named",
        f"{SAFE}::test_results_of_a_bundle_build_nothing_and_neither_does_their_table",
        f"{SAFE}::test_a_list_of_devices_builds_nothing",
    ],
    "| a network's options in a checkpoint": [
        f"{TRUST}::test_nothing_is_downloaded",
        f"{TRUST}::test_an_encoder_of_a_hub_is_refused",
        f"{TRUST}::test_an_option_that_the_factory_does_not_take_is_named",
    ],
    "| `.safetensors` |": [
        "training/test_checkpoint.py::test_metadata_that_makes_no_sense_is_refused",
        "training/test_checkpoint.py::test_a_header_that_claims_to_be_huge_is_refused",
        "training/test_checkpoint.py::test_tensors_that_do_not_fit_are_refused",
        f"{DAMAGE}::test_a_checkpoint_with_a_flipped_bit_is_never_loaded",
    ],
    "| `.pth`, `.pt`": [
        f"{SAFE}::test_a_pickle_is_not_run",
        f"{SAFE}::test_no_pickle_is_written_and_none_is_loaded_but_as_weights",
        "cli/test_wrong_models.py::test_a_pickled_network_is_refused_with_the_command_that_converts_it",
    ],
    "| latency tables, journals": [
        f"{VALUES}::test_in_a_row_of_a_table",
        f"{VALUES}::test_in_a_target",
        f"{VALUES}::test_in_the_settings_of_a_run",
        "test_texts.py::test_damage_is_told_in_plain_words_with_the_file",
        "test_texts.py::test_a_text_that_is_too_large_is_not_read",
        f"{SAFE}::test_a_candidate_cannot_name_a_file_outside_its_run",
        f"{SAFE}::test_a_run_cannot_lie_outside_its_folder",
    ],
    "| results of a bundle": [
        "profiling/test_bundle.py::test_what_cannot_be_measured_is_refused_whatever_its_checksum",
        "profiling/test_bundle.py::test_what_is_no_results_file_is_refused",
        "profiling/test_bundle.py::test_a_path_in_a_results_file_is_never_used",
    ],
    "| photographs and depth maps": [
        f"{SAFE}::test_pictures_that_declare_too_many_pixels_are_refused",
        f"{SAFE}::test_arrays_of_a_recording_that_declare_too_many_pixels_are_refused",
    ],
    "| `samples.npz`": [
        "test_texts.py::test_arrays_of_objects_are_never_loaded",
        "test_texts.py::test_samples_that_declare_more_than_fits_are_refused_before_any_memory_is_taken",
    ],
    "netadapt writes no pickle": [
        f"{SAFE}::test_no_pickle_is_written_and_none_is_loaded_but_as_weights"
    ],
    "Between the processes of one search Ray passes": ADVICE,
    "Checksums (CRC-32, SHA-256) find accidents": NAMES_TESTS,
    "They are no signatures": NAMES_TESTS,
    "Nothing is sent anywhere": [f"{SAFE}::test_ray_is_told_to_tell_nobody_before_it_is_imported"],
    "Ray's usage statistics are off": [
        f"{SAFE}::test_ray_is_told_to_tell_nobody_before_it_is_imported"
    ],
    # docs/reliability.md: nothing that was done is lost
    "Every event is a line of `journal.jsonl`": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never",
        "search/test_journal.py::test_a_journal_cut_anywhere_replays_its_whole_lines",
    ],
    "All other files are written": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never"
    ],
    "Killed at any instant": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never"
    ],
    "Latencies that were not measured yet": NAMES_TESTS,
    "| kill -9 of a search": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never",
        "faults/test_killed.py::test_a_search_killed_before_it_is_a_run_can_be_started_again_there",
    ],
    "| kill -9 of a training": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never"
    ],
    "| Ctrl-C in a training": [
        "training/test_train_run.py::test_an_interrupt_saves_the_step_in_progress_and_loses_nothing",
        "training/test_train_run.py::test_the_second_interrupt_saves_nothing_more",
    ],
    "| kill -9 of a profile": [
        "faults/test_killed.py::test_a_command_that_is_killed_again_and_again_ends_as_if_never",
        "profiling/test_profiler.py::test_an_interrupted_profile_goes_on_where_it_was",
    ],
    "| Ctrl-C in a search": [
        "faults/test_interrupts.py::test_an_interrupted_search_stops_after_a_whole_event_and_goes_on",
        "faults/test_interrupts.py::test_the_second_interrupt_does_not_wait",
        "terminal/test_commands_screen.py::test_a_search_that_is_interrupted_says_how_to_go_on",
        f"{RAY}::test_ctrl_c_to_all_of_a_search_finishes_what_is_in_flight",
    ],
    "| the disk is full": [
        "faults/test_disk_full.py::test_a_run_goes_on_after_its_journal_filled_the_disk",
        "faults/test_disk_full.py::test_a_run_goes_on_after_a_checkpoint_filled_the_disk",
        "faults/test_disk_full.py::test_a_table_keeps_its_rows_and_takes_the_rest_later",
        "faults/test_disk_full.py::test_a_plot_is_whole_or_not_there",
    ],
    "| a read-only run": [
        "faults/test_run_folder.py::test_a_read_only_run_is_said_so",
        "faults/test_run_folder.py::test_a_run_whose_folder_is_removed_stops_and_writes_no_half_run",
        "faults/test_run_folder.py::test_a_journal_that_someone_else_writes_is_left_as_it_is",
    ],
    "| two searches on one run": [
        "search/test_run.py::test_two_searches_never_share_a_run",
        "faults/test_two_processes.py::test_of_many_that_begin_together_one_does",
        "faults/test_two_processes.py::test_is_filled_by_one_profile_at_a_time",
        "faults/test_two_processes.py::test_what_a_killed_process_held_is_free",
    ],
    "| the terminal": [
        "terminal/test_search_screen.py::test_a_search_shows_its_stages_and_runs_to_its_end",
        "terminal/test_commands_screen.py::test_where_nothing_can_be_drawn_a_search_is_told_in_lines",
        "terminal/test_commands_screen.py::test_no_colour_is_used_where_none_is_wanted",
        "terminal/test_commands_screen.py::test_a_search_needs_no_stdin_and_takes_a_new_width",
        "cli/test_views.py::test_of_a_search",
    ],
    "| stdout closed or full": [
        "cli/test_streams.py::test_a_full_stdout_is_named",
        "cli/test_streams.py::test_closed_streams_and_a_full_stderr_change_nothing",
        "cli/test_streams.py::test_a_reader_that_has_seen_enough_is_no_error",
        "cli/test_streams.py::test_what_ascii_cannot_hold_is_written_as_an_escape",
    ],
    "| the table is calibrated anew": [
        f"{CHANGED}::test_a_change_is_named_refused_and_accepted_once",
        f"{CHANGED}::test_a_training_goes_on_with_its_data",
    ],
    "| `netadapt info RUN` and the page": [
        "search/test_journal.py::test_whoever_only_reads_changes_nothing",
        "cli/test_output.py::test_info_of_a_run_in_progress_does_not_touch_its_journal",
    ],
    "| the clock is set back": [
        "faults/test_run_folder.py::test_a_clock_that_runs_backwards_changes_nothing"
    ],
    # damage is refused, never used
    "| checkpoint |": [
        f"{DAMAGE}::test_a_checkpoint_with_a_flipped_bit_is_never_loaded",
        f"{DAMAGE}::test_a_checkpoint_cut_short_is_never_loaded",
    ],
    "| `journal.jsonl` |": [
        f"{DAMAGE}::test_a_journal_with_a_flipped_bit_is_refused_or_only_its_torn_end_is_lost",
        f"{DAMAGE}::test_a_journal_whose_lines_are_not_in_their_order_is_refused",
        f"{DAMAGE}::test_lines_of_one_run_do_not_pass_in_another",
        f"{DAMAGE}::test_a_run_whose_journal_was_cut_goes_on_to_the_same_front",
        "search/test_replay.py::test_what_cannot_have_happened_is_refused_with_its_line",
    ],
    "| `latency.csv` |": [
        f"{DAMAGE}::test_a_table_with_a_flipped_bit_is_refused",
        f"{DAMAGE}::test_a_table_cut_short_is_refused",
        f"{VALUES}::test_in_a_row_of_a_table",
    ],
    "A CRC finds accidents": NAMES_TESTS,
    "Checkpoints and journals from before": [
        f"{DAMAGE}::test_a_checkpoint_older_than_the_checksum_loads",
        f"{DAMAGE}::test_a_journal_from_before_the_chain_is_read_and_goes_on_in_one",
        f"{DAMAGE}::test_a_table_older_than_the_checksum_loads_and_one_that_grew_does",
    ],
    "Tested by hypothesis at random places": NAMES_TESTS,
    "What a run is compared with": [
        f"{CHANGED}::test_copies_and_other_times_are_no_change",
        f"{CHANGED}::test_a_change_is_named_refused_and_accepted_once",
    ],
    "Not times, so a photograph": [
        f"{CHANGED}::test_a_listing_follows_links_and_ends_where_they_go_round"
    ],
    "A profile that goes on compares nothing": [
        "profiling/test_profiler.py::test_another_network_adds_only_what_the_table_lacks"
    ],
    "Nor does a task of your own": [f"{CHANGED}::test_a_task_of_ones_own_names_its_files"],
    "Runs from before the checksums": [
        f"{CHANGED}::test_a_run_of_an_earlier_version_goes_on_as_before",
        f"{CHANGED}::test_a_training_of_an_earlier_version_goes_on_as_before",
    ],
    "Values that cannot be": [
        f"{VALUES}::test_in_a_row_of_a_table",
        f"{VALUES}::test_in_the_json_of_a_folder",
        f"{VALUES}::test_in_a_target",
    ],
    # workers
    "With `--executor ray` candidates are evaluated": [
        f"{RAY}::test_workers_that_die_and_hang_change_nothing",
        "terminal/test_several_processes_screen.py::"
        "test_a_search_on_ray_shows_its_stages_and_its_front",
    ],
    "The table and the weights are sent": ADVICE,
    "The data must be at the path": ADVICE,
    "Workers of a Ray that the search starts": ADVICE,
    "In a cluster, `RAY_worker_niceness`": ADVICE,
    "**The same front.** The result": [f"{POOL}::test_a_worker_gives_what_is_given_inline"],
    "With equally many threads": [
        f"{RAY}::test_workers_that_die_and_hang_change_nothing",
        f"{RAY}::test_a_killed_driver_and_a_lost_node_change_nothing",
        f"{RAY}::test_a_run_goes_on_with_another_executor",
    ],
    "On a GPU, sums run in bfloat16": ADVICE,
    "How much was not measured": ADVICE,
    "**Faults.** Each costs an attempt": [f"{RAY}::test_workers_that_die_and_hang_change_nothing"],
    "It is journalled as `retried`": [
        f"{RAY}::test_workers_that_die_and_hang_change_nothing",
        f"{POOL}::test_a_candidate_that_kills_every_worker_is_given_up",
    ],
    "After that it is recorded as failed": [
        f"{POOL}::test_a_candidate_that_kills_every_worker_is_given_up"
    ],
    "| a worker dies": [f"{RAY}::test_workers_that_die_and_hang_change_nothing"],
    "| a node is lost": [f"{RAY}::test_a_killed_driver_and_a_lost_node_change_nothing"],
    "| a candidate hangs: its worker": [
        f"{POOL}::test_an_idle_worker_hangs_though_no_peer_is_done"
    ],
    "| a candidate hangs, its processor busy": [
        f"{POOL}::test_what_hangs_is_given_longer_each_time",
        f"{POOL}::test_a_worker_that_is_busy_is_waited_for_while_no_peer_is_done",
    ],
    "| out of memory": [
        f"{POOL}::test_a_lack_of_memory_halves_the_batch_until_it_fits",
        f"{POOL}::test_a_batch_is_never_cut_to_single_images",
        f"{POOL}::test_a_worker_says_when_its_memory_is_short",
    ],
    "| any other error in a worker": [f"{RAY}::test_workers_that_die_and_hang_change_nothing"],
    "| the head of the cluster is gone": [f"{RAY}::test_a_lost_head_is_said_in_one_line"],
    "| no worker can be started": [f"{POOL}::test_a_crew_that_cannot_start_is_an_error"],
    "| the driver dies": [
        f"{RAY}::test_a_killed_driver_and_a_lost_node_change_nothing",
        f"{RAY}::test_a_run_goes_on_with_another_executor",
    ],
    "A loss that is no number is no fault": [
        "search/test_run.py::test_a_candidate_that_diverges_is_recorded_and_never_chosen"
    ],
    "Where all candidates of an iteration fail": [
        "search/test_run.py::test_a_candidate_that_diverges_is_recorded_and_never_chosen",
        "search/test_replay.py::test_an_iteration_whose_candidates_all_failed_begins_again",
    ],
    "The pool's decisions are tested": NAMES_TESTS,
}


def promised(document: str) -> Iterator[str]:
    """Yield every row of a table and every sentence of the sections that promise something."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        if title in SECTIONS[document]:
            for paragraph in re.split(r"\n\s*\n", body):
                yield from _sentences(paragraph.strip())


def _sentences(paragraph: str) -> Iterator[str]:
    if paragraph.startswith("|"):
        yield from paragraph.splitlines()[2:]
    elif paragraph:
        sentences = re.split(r"(?<=[.:])\s+(?=[A-Z*])", " ".join(paragraph.split()))
        yield from (sentence for sentence in sentences if not sentence.startswith("`tests"))


SENTENCES = [sentence for document in SECTIONS for sentence in promised(document)]


@pytest.mark.parametrize("document", SECTIONS)
def test_the_sections_are_there(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for title in SECTIONS[document]:
        assert f"\n## {title}\n" in text


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence[:40])
def test_every_sentence_has_one_entry(sentence):
    entries = [beginning for beginning in PROMISES if sentence.startswith(beginning)]
    assert len(entries) == 1, f"{sentence!r}: {entries}; name the test that shows it"


@pytest.mark.parametrize("beginning", PROMISES)
def test_every_entry_is_of_a_sentence_and_names_tests_that_exist(beginning):
    assert [sentence for sentence in SENTENCES if sentence.startswith(beginning)]
    tests = PROMISES[beginning]
    if isinstance(tests, str):
        assert tests in (NAMES_TESTS, ADVICE)
        return
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name in names_in(file), test


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests of a file under tests/."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return frozenset(name for name in found if name.startswith("test_"))
