//! The specification's checklist (http §11), statement by statement: the tests that hold it, or why none has to; and the
//! weaknesses of the original (§10) that it answers. What is left out, and a test that is named here and is not there,
//! fails.

#[path = "named/checklist.rs"]
mod checklist;

use checklist::Statement::{self, Held, Replaced};
use checklist::{Weakness, assert_answered, assert_complete, assert_held};

const LAST: u8 = 120;

const TABLE: [Statement; LAST as usize] = [
    // Routes and auth.
    Held(1, &["a_minimal_request_is_answered"]),
    Held(2, &["the_model_is_the_one_that_the_client_named"]),
    Held(3, &["without_a_proxy_key_anybody_may_ask"]),
    Held(4, &["with_a_proxy_key_only_its_bearers_may_ask"]),
    Held(5, &["with_a_proxy_key_only_its_bearers_may_ask", "the_key_counts_in_any_of_its_headers"]),
    Held(
        6,
        &[
            "with_a_proxy_key_only_its_bearers_may_ask",
            "a_wrong_key_is_a_401_and_the_right_one_opens_in_either_header",
        ],
    ),
    Held(
        7,
        &[
            "with_a_proxy_key_only_its_bearers_may_ask",
            "without_a_key_of_the_client_it_is_a_401_and_nobody_is_asked",
            "the_clients_key_goes_nowhere",
        ],
    ),
    Held(
        8,
        &[
            "an_anthropic_upstream_gets_the_clients_key_as_the_client_presents_it",
            "without_a_key_of_the_client_it_is_a_401_and_nobody_is_asked",
        ],
    ),
    Held(9, &["health_is_yaml_that_a_person_can_read", "a_tree_is_told_alike_in_yaml_and_json"]),
    Replaced(
        10,
        "design §10: strangers learn the status alone",
        &[
            "health_is_json_for_those_who_ask",
            "a_stranger_learns_from_health_only_whether_it_is_healthy",
            "health_tells_the_mode_and_no_key",
        ],
    ),
    Held(11, &["the_front_door_says_what_runs_here"]),
    Held(12, &["profiles_are_told_by_name_with_their_terms_and_where_they_come_from"]),
    Held(
        13,
        &[
            "aliases_are_told_by_provider_and_the_suggestions_apart",
            "without_the_catalogue_the_last_one_is_told_and_without_any_the_truth",
        ],
    ),
    Held(
        14,
        &[
            "the_gateways_key_is_wanted_at_all_of_them",
            "without_the_catalogue_the_last_one_is_told_and_without_any_the_truth",
        ],
    ),
    Held(15, &["the_doors_that_probes_knock_at_are_open", "an_unknown_path_is_a_404_in_json"]),
    Replaced(
        16,
        "design §10: no CORS headers; the others are there",
        &[
            "a_stream_is_told_to_be_neither_kept_nor_collected",
            "a_text_stream_has_the_order_that_clients_expect",
        ],
    ),
    Held(17, &["a_connection_that_fails_says_how_and_what_to_do"]),
    Held(18, &["an_unknown_provider_is_a_404_that_names_it"]),
    // Models.
    Held(19, &["an_openai_providers_models_are_told_in_both_shapes_and_raw"]),
    Held(
        20,
        &["an_openai_providers_models_are_told_in_both_shapes_and_raw", "what_cannot_be_meant_is_a_400"],
    ),
    Held(21, &["a_chat_list_is_readable_for_a_messages_client", "no_models_are_a_list_too"]),
    Held(22, &["a_chat_list_is_readable_for_a_messages_client"]),
    Held(23, &["a_list_is_remembered_until_it_is_old_or_a_new_one_is_wanted"]),
    Held(24, &["an_old_list_is_better_than_none_and_says_so"]),
    Replaced(
        25,
        "http §1.6 [F]: where there is a key, it is shown from the first call on",
        &[
            "an_openai_providers_models_are_told_in_both_shapes_and_raw",
            "an_anthropic_providers_models_are_asked_for_at_its_own_door",
        ],
    ),
    Held(26, &["the_provider_is_the_headers_then_the_querys_then_the_default"]),
    Held(27, &["the_provider_is_the_headers_then_the_querys_then_the_default"]),
    Replaced(
        28,
        "the statuses hold; the types are those of http §6.2, which every client knows",
        &["nobody_there_is_a_502_and_no_answer_a_504"],
    ),
    Held(29, &["a_profile_in_the_place_of_a_provider_lists_its_aliases"]),
    // Request conversion.
    Held(30, &["the_system_prompt_comes_first_in_one_message"]),
    Held(31, &["the_system_prompt_comes_first_in_one_message"]),
    Held(32, &["one_text_block_collapses_to_a_string_and_several_stay_parts"]),
    Held(33, &["images_become_image_urls", "images_become_parts"]),
    Held(34, &["images_become_image_urls", "images_become_parts"]),
    Held(
        35,
        &[
            "one_text_block_collapses_to_a_string_and_several_stay_parts",
            "tool_calls_and_their_results_become_tool_messages",
            "text_before_a_call_stays_with_it",
        ],
    ),
    Held(36, &["tool_calls_and_their_results_become_tool_messages"]),
    Held(37, &["a_results_texts_are_joined_and_trimmed"]),
    Held(
        38,
        &[
            "text_beside_results_follows_them",
            "any_history_comes_out_in_an_order_that_openai_accepts_and_complete",
        ],
    ),
    Held(39, &["a_failed_result_is_marked"]),
    Held(40, &["a_result_without_content_says_so"]),
    Held(41, &["an_image_in_a_result_arrives_as_an_image"]),
    Held(42, &["thinking_of_other_models_is_not_sent_as_text"]),
    Held(43, &["documents_become_files_or_text"]),
    Held(44, &["tools_become_functions_with_their_schema_unchanged"]),
    Held(45, &["server_tools_are_dropped_next_to_custom_ones"]),
    Held(46, &["every_form_of_tool_choice_has_its_counterpart"]),
    Held(47, &["every_form_of_tool_choice_has_its_counterpart"]),
    Held(48, &["every_form_of_tool_choice_has_its_counterpart"]),
    Held(
        49,
        &[
            "a_limit_is_raised_and_lowered_where_the_configuration_says_so",
            "what_a_provider_takes_is_said_in_its_section",
            "max_tokens_is_not_clamped_and_has_the_name_that_the_model_wants",
        ],
    ),
    Held(50, &["sampling_fields_pass_only_when_they_were_sent"]),
    Held(51, &["sampling_fields_pass_only_when_they_were_sent"]),
    Held(52, &["a_streamed_request_asks_for_usage"]),
    Held(53, &["the_wish_to_think_becomes_a_level", "only_models_that_reason_are_told_how_much"]),
    Held(
        54,
        &[
            "a_name_that_fits_stays_whatever_others_become",
            "no_two_names_become_one_and_none_is_too_long",
            "odd_tool_names_are_the_clients_own_again_streamed_and_whole",
        ],
    ),
    Held(55, &["no_two_names_become_one_and_none_is_too_long"]),
    Held(56, &["missing_or_zero_max_tokens_and_no_messages_are_400s_naming_the_field"]),
    // Response conversion.
    Held(57, &["text_comes_before_the_calls_and_their_order_is_kept"]),
    Held(58, &["odd_arguments_become_an_object"]),
    Held(59, &["odd_arguments_become_an_object", "absent_arguments_are_an_empty_object"]),
    Held(60, &["finish_reasons_become_stop_reasons"]),
    Held(61, &["finish_reasons_become_stop_reasons", "a_refusal_is_shown_and_named"]),
    Held(62, &["an_answer_without_content_is_one_empty_text"]),
    Held(63, &["missing_usage_is_no_error"]),
    Held(64, &["cached_tokens_are_taken_out_of_the_input"]),
    Held(65, &["every_answer_has_its_own_id"]),
    Held(66, &["reasoning_is_thinking_for_those_who_asked"]),
    Held(67, &["an_answer_that_is_none_is_a_502", "an_error_inside_a_200_is_an_error"]),
    // Streaming, Anthropic client.
    Held(
        68,
        &[
            "a_text_stream_has_the_order_that_clients_expect",
            "every_event_is_framed_by_name_one_line_of_data_and_a_blank_line",
        ],
    ),
    Held(
        69,
        &[
            "every_stream_obeys_the_grammar_and_is_the_same_whole",
            "the_grammar_refuses_what_clients_stumble_over",
        ],
    ),
    Held(70, &["an_answer_of_tools_alone_has_no_empty_text"]),
    Held(71, &["an_answer_of_tools_alone_has_no_empty_text"]),
    Held(72, &["interleaved_calls_come_one_after_the_other_in_order_of_appearance"]),
    Held(73, &["calls_that_providers_send_oddly_are_understood", "two_calls_that_share_an_index_are_two"]),
    Held(74, &["numbers_are_not_taken_for_whole_arguments"]),
    Held(75, &["arguments_cut_by_the_limit_arrive_as_far_as_they_came"]),
    Held(76, &["usage_is_read_from_wherever_it_comes"]),
    Held(
        77,
        &[
            "a_finish_without_done_is_an_end_and_done_without_a_finish_too",
            "an_upstream_that_ends_without_either_is_an_error_and_no_end",
        ],
    ),
    Held(78, &["odd_framing_is_read"]),
    Held(79, &["what_is_no_json_ends_the_stream_with_an_error"]),
    Held(80, &["an_error_in_the_middle_has_its_type_and_its_words"]),
    Held(81, &["errors_of_the_upstream_have_their_counterpart_in_our_shape"]),
    Held(82, &["a_silent_stream_is_kept_alive_with_pings"]),
    Held(83, &["reasoning_becomes_thinking_with_one_signature_or_nothing"]),
    Held(84, &["unicode_split_over_segments_arrives_unbroken_and_unescaped"]),
    Held(85, &["every_vendors_stream_is_read_without_an_exception"]),
    Held(
        86,
        &[
            "a_client_that_leaves_before_the_head_closes_the_upstream",
            "a_client_that_leaves_in_the_middle_closes_the_upstream",
            "a_client_that_leaves_while_a_whole_body_comes_closes_the_upstream",
            "a_client_that_leaves_in_a_retry_wait_ends_the_retries",
            "a_client_that_leaves_is_cancelled_in_every_phase",
        ],
    ),
    // Passthrough to Anthropic.
    Held(87, &["the_body_arrives_byte_for_byte", "of_a_prefixed_model_only_the_value_changes"]),
    Held(88, &["a_streamed_reply_is_byte_identical", "text_comes_whole_and_streamed"]),
    Held(
        89,
        &[
            "what_the_client_says_about_itself_is_forwarded",
            "the_query_is_kept",
            "every_credential_of_the_client_is_replaced_by_the_key_of_the_provider",
        ],
    ),
    Held(
        90,
        &[
            "error_bodies_are_byte_exact_with_their_status",
            "what_the_upstream_says_about_itself_reaches_the_client",
            "a_long_wait_that_the_upstream_named_stops_the_retries",
        ],
    ),
    Held(91, &["thinking_that_we_minted_is_removed_and_real_thinking_stays"]),
    Held(92, &["a_success_counts_what_the_upstream_and_the_client_said"]),
    // Chat completions.
    Held(
        93,
        &["the_body_arrives_byte_for_byte", "nothing_in_the_json_is_taken_for_an_option_of_the_transport"],
    ),
    Held(
        94,
        &[
            "a_streamed_reply_is_byte_identical",
            "a_missing_done_is_added_after_a_finish_reason",
            "two_calls_at_once_go_there_and_back",
        ],
    ),
    Held(
        95,
        &[
            "a_client_that_did_not_ask_sees_no_trace_of_it",
            "usage_that_was_not_asked_for_is_not_seen",
            "a_success_counts_what_the_upstream_and_the_client_said",
        ],
    ),
    Held(96, &["a_whole_reply_is_a_completion"]),
    Held(
        97,
        &[
            "settings_are_carried_over",
            "the_choice_among_tools_is_carried_over",
            "images_become_blocks",
            "calls_and_results_become_blocks_in_turns",
            "system_image_and_settings_arrive",
        ],
    ),
    Held(98, &["a_limit_is_always_there", "a_minimal_request_becomes_a_minimal_request_with_a_limit"]),
    Held(
        99,
        &[
            "parallel_calls_are_numbered_among_themselves_and_named_once",
            "text_and_its_usage_arrive",
            "an_error_in_the_middle_is_an_error_chunk_and_never_a_finish",
        ],
    ),
    // Errors, retries, keys.
    Held(100, &["the_third_key_serves_on_all_four_ways_streamed_and_whole"]),
    Held(101, &["a_single_refused_key_is_the_upstreams_own_answer_every_time"]),
    Replaced(
        102,
        "design §4: a key that is merely cooling is a 429 with its wait",
        &["when_a_key_is_merely_cooling_the_client_is_told_how_long"],
    ),
    Held(103, &["one_clients_bad_key_costs_the_others_nothing_and_is_not_repeated"]),
    Held(
        104,
        &[
            "no_head_within_the_deadline_is_a_504_and_not_tried_again",
            "an_upstream_that_cannot_be_reached_is_a_502_that_names_the_provider",
            "error_pages_are_reduced_to_their_title",
        ],
    ),
    Held(105, &["max_retries_is_the_number_of_repeats", "the_pause_that_the_upstream_names_is_kept"]),
    Held(
        106,
        &[
            "after_the_first_event_nothing_is_ever_tried_again",
            "after_the_first_chunk_nothing_is_tried_again",
        ],
    ),
    // Middleware, counting, metrics.
    Replaced(
        107,
        "design §3: hooks are pure, so that none can fail and none is set up or torn down; order and skipping hold",
        &[
            "members_act_in_the_order_of_the_configuration_on_requests_and_on_replies",
            "only_members_for_the_model_apply_unless_the_configuration_names_them",
        ],
    ),
    Held(
        108,
        &[
            "a_signature_is_back_on_its_call_in_the_next_turn_though_the_client_knows_nothing_of_it",
            "a_signature_comes_back_on_the_very_call_it_came_with",
        ],
    ),
    Held(
        109,
        &[
            "a_signature_is_back_on_its_call_in_the_next_turn_though_the_client_knows_nothing_of_it",
            "chat_clients_get_every_byte_and_may_keep_the_signature_or_forget_it",
        ],
    ),
    Held(110, &["another_caller_with_the_same_call_gets_no_signature"]),
    Held(
        111,
        &[
            "the_oldest_tenth_goes_when_it_is_full",
            "a_fact_is_forgotten_in_time_and_leaves_nothing_behind",
            "the_memory_lasts_as_long_and_holds_as_much_as_is_configured",
        ],
    ),
    Replaced(
        112,
        "design §10: the issue's accuracy instead of a floor; everything counts, and no completion is made",
        &[
            "a_provider_that_cannot_tell_is_not_asked_and_everything_in_the_request_counts",
            "whole_requests_are_estimated_closely",
        ],
    ),
    Held(113, &["a_provider_that_can_tell_gets_the_clients_bytes_at_its_own_counter"]),
    Held(
        114,
        &[
            "the_report_is_yaml_in_the_layout_of_old",
            "filters_are_patterns_in_any_case_and_models_keep_their_whole_name",
        ],
    ),
    Held(
        115,
        &[
            "a_running_request_is_told_once_and_can_be_left_out",
            "an_upstream_error_is_an_error_and_not_active",
            "requests_that_got_nowhere_are_errors_of_nobody",
        ],
    ),
    Held(116, &["filters_are_patterns_in_any_case_and_models_keep_their_whole_name"]),
    Held(
        117,
        &[
            "a_trace_has_what_the_upstream_and_the_client_said",
            "a_failed_stream_is_an_error_that_says_how_it_failed",
            "as_many_are_told_as_are_asked_for",
        ],
    ),
    Held(
        118,
        &[
            "watchers_are_told_at_once_when_a_request_begins_and_ends",
            "numbers_are_told_at_the_interval_and_time_alone_is_not",
            "watchers_get_signs_of_life",
            "without_the_stream_running_requests_are_told_on_demand_alone",
        ],
    ),
    Held(119, &["without_metrics_the_doors_say_so_and_requests_are_answered_with_their_usage"]),
    Held(
        120,
        &["of_fifty_at_once_every_line_of_the_log_names_its_own", "no_key_is_ever_shown_whatever_goes_wrong"],
    ),
];

/// By number, those of §10.
const WEAKNESSES: [Weakness; 50] = [
    Weakness(1, &[30, 31], &[]),
    Weakness(2, &[88], &[]),
    Weakness(3, &[94], &[]),
    Weakness(4, &[42, 43, 45], &["documents_that_a_tool_returned_follow_its_message"]),
    Weakness(5, &[87, 89], &[]),
    Weakness(6, &[80, 81], &[]),
    Weakness(7, &[76], &[]),
    // OAuth is refused instead (design §9).
    Weakness(8, &[], &["oauth_is_refused_with_a_reason", "oauth_is_refused_wherever_it_is_asked_for"]),
    Weakness(9, &[93], &["nothing_in_the_json_is_taken_for_an_option_of_the_transport"]),
    Weakness(10, &[49], &[]),
    Weakness(11, &[100], &[]),
    Weakness(12, &[7], &[]),
    Weakness(13, &[101], &[]),
    Weakness(14, &[6, 18, 56], &["a_body_that_is_no_request_is_a_400_that_says_why_and_quotes_nothing"]),
    Weakness(15, &[47, 48], &[]),
    Weakness(16, &[38], &["a_result_of_an_unknown_call_is_not_lost"]),
    Weakness(17, &[39, 41], &[]),
    Weakness(18, &[34, 97], &["images_become_blocks"]),
    Weakness(19, &[63], &[]),
    Weakness(20, &[64], &["cached_tokens_are_read_from_every_vendors_place"]),
    Weakness(21, &[66, 83], &[]),
    Weakness(22, &[61], &[]),
    Weakness(23, &[61], &[]),
    Weakness(24, &[69, 70, 71, 72, 73, 74, 75], &[]),
    Weakness(25, &[97, 98], &[]),
    Weakness(26, &[99], &[]),
    Weakness(27, &[90, 105, 106], &["timeouts_and_retries_of_variables_stand_above_the_providers_own"]),
    Weakness(28, &[104], &["a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream"]),
    Weakness(29, &[112, 113], &[]),
    Weakness(30, &[92, 95, 115], &["a_success_counts_what_the_upstream_and_the_client_said"]),
    Weakness(31, &[109, 110], &["an_alias_of_gemini_is_gemini_too"]),
    Weakness(32, &[18], &[]),
    Weakness(33, &[86], &[]),
    Weakness(34, &[22, 26, 27], &["an_anthropic_providers_models_are_asked_for_at_its_own_door"]),
    Weakness(35, &[89, 90], &[]),
    Weakness(36, &[50], &[]),
    Weakness(37, &[53], &["the_form_of_the_answer_is_carried_over"]),
    Weakness(
        38,
        &[],
        &[
            "newer_models_get_max_completion_tokens",
            "a_limit_of_tokens_is_sent_under_the_name_that_is_asked_for",
        ],
    ),
    Weakness(39, &[120], &[]),
    Weakness(40, &[13, 14], &["the_catalogue_is_asked_without_a_key_and_remembered"]),
    Weakness(
        41,
        &[10],
        &["the_gateways_key_is_wanted_here_too", "the_gateways_key_is_wanted_at_all_of_them"],
    ),
    Weakness(42, &[17], &["a_connection_is_tested_by_a_small_question"]),
    Weakness(43, &[65], &[]),
    Weakness(44, &[54, 55], &[]),
    Weakness(45, &[119], &[]),
    // Keys are found by what they are, not by how they look.
    Weakness(46, &[120], &["keys_are_taken_out_of_texts", "no_key_is_ever_shown_whatever_goes_wrong"]),
    Weakness(47, &[9], &["a_time_is_written_as_utc"]),
    Weakness(48, &[82], &["beyond_the_patience_there_are_pings_and_then_the_answer"]),
    Weakness(
        49,
        &[],
        &[
            "a_profile_comes_first_and_its_terms_hold",
            "a_header_for_all_goes_to_those_that_have_none_of_its_name",
        ],
    ),
    Weakness(
        50,
        &[],
        &[
            "reasoning_details_come_back_as_they_were",
            "every_whole_reply_says_to_its_client_what_its_snapshot_says",
        ],
    ),
];

#[test]
fn every_statement_has_its_place() {
    assert_complete(&TABLE, LAST);
}

#[test]
fn what_is_said_to_hold_is_held_by_tests_that_are_there() {
    assert_held(&TABLE);
}

#[test]
fn every_weakness_of_the_original_is_answered() {
    assert_answered(&WEAKNESSES, 50, LAST);
}
