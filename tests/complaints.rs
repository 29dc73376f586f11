//! Which tests answer which of the complaints that gateways get most, by number. A test that is named here and is not
//! there fails.

#[path = "named/tests.rs"]
mod named;

use std::collections::HashSet;

/// A complaint, by its number and what it says, and the tests that hold the answer.
struct Answered(u32, &'static str, &'static [&'static str]);

const TABLE: [Answered; 32] = [
    Answered(
        1,
        "tool calls arrive with empty input",
        &[
            "a_call_that_begins_in_the_chunk_that_ends_a_text_keeps_its_arguments_in_any_pieces",
            "everything_arrives_in_a_valid_stream_and_whole_alike",
            "calls_that_providers_send_oddly_are_understood",
            "absent_arguments_are_an_empty_object",
            "every_seed_keeps_the_properties_of_its_target",
        ],
    ),
    Answered(
        2,
        "content block not found",
        &[
            "every_stream_obeys_the_grammar_and_is_the_same_whole",
            "random_chunks_neither_panic_nor_break_the_grammar",
            "a_stream_is_given_to_those_who_asked_for_one_although_json_came",
        ],
    ),
    Answered(
        3,
        "parallel tool calls interleave",
        &[
            "interleaved_calls_leave_one_after_the_other",
            "interleaved_calls_come_one_after_the_other_in_order_of_appearance",
            "two_calls_at_once_go_there_and_back",
        ],
    ),
    Answered(
        4,
        "usage at the start of a stream is incomplete",
        &["a_stream_counts_in_full_from_its_first_event_on", "usage_and_cache_are_what_the_upstream_counted"],
    ),
    Answered(
        5,
        "turns end silently or for the wrong reason",
        &[
            "stop_reasons_follow_what_was_sent",
            "finish_reasons_become_stop_reasons",
            "every_stream_says_to_its_client_what_its_snapshot_says",
            "a_body_of_nothing_is_a_502",
        ],
    ),
    Answered(
        6,
        "characters break at the borders of chunks",
        &[
            "a_stream_that_comes_byte_by_byte_gives_the_same_events_and_the_same_bytes",
            "every_stream_cut_at_every_byte_gives_the_same_bytes",
            "unicode_split_over_segments_arrives_unbroken_and_unescaped",
            "a_pair_goes_out_in_one_piece",
        ],
    ),
    Answered(
        7,
        "long thinking is cut off for silence",
        &[
            "a_silent_stream_is_kept_alive_with_pings",
            "beyond_the_patience_there_are_pings_and_then_the_answer",
        ],
    ),
    Answered(
        8,
        "the gateway's own timers are shorter than thinking",
        &[
            "no_limit_that_is_built_in_is_shorter_than_long_thinking",
            "a_slow_stream_that_never_stalls_is_left_alone",
            "a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream",
            "every_limit_can_be_set",
        ],
    ),
    Answered(
        9,
        "a truncated answer looks complete",
        &[
            "no_stream_broken_off_looks_complete_unless_its_upstream_had_finished",
            "a_reply_that_the_upstream_gave_up_never_looks_complete",
            "a_passed_stream_broken_off_at_every_byte_keeps_its_complete_events_and_says_so",
            "a_translated_stream_broken_off_at_every_byte_ends_properly_only_if_the_upstream_had_finished",
        ],
    ),
    Answered(
        10,
        "a client that left is still generated for",
        &[
            "a_client_that_leaves_before_the_head_closes_the_upstream",
            "a_client_that_leaves_in_the_middle_closes_the_upstream",
            "a_client_that_leaves_while_a_whole_body_comes_closes_the_upstream",
            "a_client_that_leaves_in_a_retry_wait_ends_the_retries",
            "a_client_that_leaves_is_cancelled_in_every_phase",
            "a_place_is_free_again_when_its_client_has_left",
        ],
    ),
    Answered(
        11,
        "empty thinking blocks poison a session",
        &["a_thought_without_words_is_no_block", "reasoning_becomes_thinking_with_one_signature_or_nothing"],
    ),
    Answered(
        12,
        "signatures break because the body was rewritten",
        &[
            "the_body_arrives_byte_for_byte",
            "of_a_prefixed_model_only_the_value_changes",
            "an_edited_body_says_what_a_parser_would_have_written_and_differs_nowhere_else",
        ],
    ),
    Answered(
        13,
        "the gateway edits the conversation",
        &[
            "a_body_without_the_marker_in_a_signature_is_untouched",
            "a_minimal_request_becomes_a_minimal_request",
            "the_smallest_request_says_nothing_that_was_not_asked",
        ],
    ),
    Answered(
        14,
        "another provider gets a foreign signature",
        &[
            "thoughts_go_back_only_to_the_model_that_had_them",
            "thinking_that_we_minted_is_removed_and_real_thinking_stays",
            "exactly_our_own_thinking_leaves_a_history",
        ],
    ),
    Answered(
        15,
        "replayed thinking changes its order",
        &["exactly_our_own_thinking_leaves_a_history", "a_thought_and_a_tool_call_go_there_and_back"],
    ),
    Answered(
        16,
        "Gemini loses its thought signatures",
        &[
            "a_signature_comes_back_on_the_very_call_it_came_with",
            "the_signature_of_a_text_comes_back_with_the_text",
            "a_signature_is_back_on_its_call_in_the_next_turn_though_the_client_knows_nothing_of_it",
            "a_client_that_thinks_carries_the_signature_itself_even_to_another_gateway",
            "the_new_one_brings_a_signature_back_to_a_gateway_that_remembers_nothing",
        ],
    ),
    Answered(
        17,
        "reasoning is not passed back, or contradicts itself",
        &[
            "thinking_of_the_same_model_goes_back_where_it_came_from",
            "reasoning_details_come_back_as_they_were",
            "no_request_says_two_things_about_reasoning",
        ],
    ),
    Answered(
        18,
        "adaptive thinking and effort are refused",
        &["only_models_that_reason_are_told_how_much", "the_wish_to_think_becomes_a_level"],
    ),
    Answered(
        19,
        "a beta flag that the upstream does not know",
        &[
            "what_the_client_says_about_itself_is_forwarded",
            "a_beta_goes_together_with_the_member_that_needs_it",
            "an_upstream_that_knows_no_beta_gets_none",
            "betas_are_dropped_by_rule_with_what_belongs_to_them",
            "a_values_members_are_known_whatever_its_date",
        ],
    ),
    Answered(
        20,
        "extra inputs are not permitted",
        &[
            "members_and_schema_keywords_go_from_every_tool",
            "what_a_cut_makes_illegal_is_cut_too",
            "what_was_learnt_is_forgotten_when_its_time_is_over",
            "an_edit_takes_out_the_named_member_and_changes_no_other_byte",
            "what_was_said_is_never_left_out",
        ],
    ),
    Answered(
        21,
        "system messages in the conversation are refused",
        &[
            "a_system_message_in_the_conversation_stays_in_its_place",
            "a_system_turn_stays_at_its_place_and_is_told_by_the_user_where_only_the_first_may_be_one",
        ],
    ),
    Answered(
        22,
        "server tools break the request",
        &[
            "server_tools_are_dropped_next_to_custom_ones",
            "a_choice_goes_with_its_tools",
            "what_a_provider_is_declared_to_take_it_gets",
        ],
    ),
    Answered(
        23,
        "tool references and long tool names are refused",
        &[
            "no_two_names_become_one_and_none_is_too_long",
            "tool_names_are_the_same_wherever_they_stand",
            "a_shortened_tool_name_is_the_clients_own_again",
            "a_deferred_tool_is_there_once_it_was_found_called_or_forced",
        ],
    ),
    Answered(
        24,
        "a history with calls, but no tools",
        &["calls_of_tools_that_are_not_listed_get_stubs_that_must_not_be_called"],
    ),
    Answered(
        25,
        "Gemini refuses schemas for a keyword",
        &[
            "the_schemas_of_real_tools_come_out_clean_and_stay_as_they_are_then",
            "what_a_schema_says_in_words_that_gemini_lacks_is_said_in_others",
            "references_are_resolved_and_those_that_lead_back_end_in_an_object",
            "whatever_a_schema_says_gemini_takes_the_rest_and_it_stays_so",
            "depth_and_growth_are_bounded",
            "schemas_are_cleaned_on_both_doors",
        ],
    ),
    Answered(
        26,
        "the wrong limit parameter, and a 400 told as a 500",
        &[
            "newer_models_get_max_completion_tokens",
            "max_tokens_is_not_clamped_and_has_the_name_that_the_model_wants",
            "errors_of_the_upstream_have_their_counterpart_in_our_shape",
            "a_request_that_is_wrong_is_wrong_with_every_key",
        ],
    ),
    Answered(
        27,
        "results do not stand behind their calls",
        &[
            "any_history_comes_out_in_an_order_that_openai_accepts_and_complete",
            "results_stand_right_behind_their_calls_whatever_came_between",
            "a_result_of_an_unknown_call_is_not_lost",
        ],
    ),
    Answered(
        28,
        "images in results are dropped",
        &[
            "an_image_in_a_result_arrives_as_an_image",
            "documents_that_a_tool_returned_follow_its_message",
            "what_a_result_holds_that_no_upstream_reads_is_named_instead",
        ],
    ),
    Answered(29, "the user's id is too long", &["what_a_provider_is_declared_to_take_it_gets"]),
    Answered(
        30,
        "cached tokens are lost or counted as fresh",
        &[
            "cached_tokens_are_read_from_every_vendors_place",
            "cached_tokens_are_taken_out_of_the_input",
            "the_input_parts_add_up_to_the_prompt_whatever_the_upstream_claims",
            "the_ledger_gets_the_same_whether_a_stream_is_translated_or_passed_through",
        ],
    ),
    Answered(
        31,
        "token counts are missing or too low",
        &[
            "a_provider_that_cannot_tell_is_not_asked_and_everything_in_the_request_counts",
            "a_counter_that_is_not_there_or_not_well_is_replaced_by_an_estimate",
            "texts_of_every_kind_are_estimated_closely_and_rather_too_high",
            "every_kind_of_block_counts",
        ],
    ),
    Answered(
        32,
        "an overflow is told as a server's failure",
        &[
            "an_overlong_prompt_is_said_in_the_words_that_claude_code_knows",
            "every_vendors_wording_becomes_anthropics",
            "every_error_says_to_its_client_what_its_snapshot_says",
        ],
    ),
];

#[test]
fn every_complaint_is_answered_by_tests_that_are_there() {
    let names = named::tests();
    for Answered(number, complaint, tests) in &TABLE {
        assert!(!tests.is_empty(), "{number} ({complaint}) is answered by nothing");
        for test in *tests {
            assert!(names.contains(*test), "{number} ({complaint}): there is no test {test}");
        }
    }
}

#[test]
fn no_complaint_about_translation_is_left_out_and_nothing_is_named_twice() {
    let numbers: Vec<u32> = TABLE.iter().map(|Answered(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=32).collect::<Vec<_>>());
    for Answered(number, complaint, tests) in &TABLE {
        let distinct: HashSet<_> = tests.iter().collect();
        assert_eq!(distinct.len(), tests.len(), "{number} ({complaint}) names a test twice");
    }
}
