//! The specification's checklist of configuration, routing, keys and the command line (configuration §11), statement by
//! statement: the tests that hold it, or what holds in its place; and the weaknesses of the original (§10) that it answers.
//! What is left out, and a test that is named here and is not there, fails.

#[path = "named/checklist.rs"]
mod checklist;

use checklist::Statement::{self, Held, Replaced};
use checklist::{Weakness, assert_answered, assert_complete, assert_held};

const LAST: u8 = 112;

const OAUTH: &str = "design §9: OAuth subscriptions are refused; there is no flow, no token and no file";

const TABLE: [Statement; LAST as usize] = [
    // Configuration.
    Replaced(
        1,
        "design §10: 127.0.0.1, no clamp, its own deadlines; the rest holds",
        &["one_key_and_stock_defaults_start", "the_limits_are_those_of_the_design"],
    ),
    Held(
        2,
        &[
            "a_wrong_port_ends_every_command_that_reads_the_configuration",
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
        ],
    ),
    Held(3, &["each_layer_wins_over_the_ones_before"]),
    Held(
        4,
        &[
            "words_for_yes_and_for_a_level_are_known_in_any_case",
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
        ],
    ),
    Replaced(
        5,
        "a word that is neither yes nor no is a mistake, as every other wrong value",
        &[
            "words_for_yes_and_for_a_level_are_known_in_any_case",
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
        ],
    ),
    Replaced(
        6,
        "design §7: without it a silence of 300 s ends a stream; zero is a mistake, as here",
        &[
            "limits_have_the_originals_variables_too",
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
            "a_stall_in_the_middle_ends_with_an_error_and_closes_the_upstream",
        ],
    ),
    Held(
        7,
        &["every_mistake_of_a_variable_names_it_and_what_it_expects", "nobody_is_asked_who_is_not_wanted"],
    ),
    Held(
        8,
        &["every_mistake_is_one_line_and_all_come_at_once", "all_mistakes_of_all_layers_are_told_at_once"],
    ),
    Held(
        9,
        &["each_layer_wins_over_the_ones_before", "the_environment_wins_over_dotenv_and_dotenv_over_files"],
    ),
    Held(
        10,
        &["a_timeout_of_zero_is_none", "timeouts_and_retries_of_variables_stand_above_the_providers_own"],
    ),
    // TOML.
    Held(11, &["layers_merge_value_by_value"]),
    Held(12, &["layers_merge_value_by_value"]),
    Held(
        13,
        &[
            "timeouts_and_retries_of_variables_stand_above_the_providers_own",
            "request_timeout_of_the_environment_is_that_deadline",
        ],
    ),
    Held(14, &["timeouts_and_retries_of_variables_stand_above_the_providers_own"]),
    Held(15, &["layers_merge_value_by_value", "an_alias_knows_no_case_and_counts_as_a_part_of_a_name_too"]),
    Held(
        16,
        &[
            "a_profile_is_as_the_highest_file_has_it",
            "profiles_are_told_by_name_with_their_terms_and_where_they_come_from",
        ],
    ),
    Held(17, &["every_mistake_of_a_file_is_one_line_with_line_column_key_and_advice"]),
    Held(18, &["a_section_alone_makes_a_provider_with_all_of_its_keys"]),
    Held(
        19,
        &[
            "a_mistake_in_a_file_is_named_with_file_and_line_and_a_suggestion",
            "every_mistake_of_a_file_is_one_line_with_line_column_key_and_advice",
        ],
    ),
    Replaced(
        20,
        "no aliases for all are built in (bug 22); those of lower files remain",
        &["aliases_for_all_merge_name_by_name"],
    ),
    Held(21, &["a_wrong_provider_does_not_hide_the_mistakes_of_the_next"]),
    // Providers.
    Held(22, &["one_key_and_stock_defaults_start"]),
    Held(
        23,
        &[
            "a_key_without_a_url_is_one_warning_and_nothing_worse",
            "a_provider_by_variables_alone_needs_a_base_url",
        ],
    ),
    Held(24, &["a_provider_of_ones_own_needs_only_a_key_and_a_url"]),
    Held(
        25,
        &[
            "a_section_alone_makes_a_provider_with_all_of_its_keys",
            "a_variable_of_the_environment_hides_the_one_of_the_file_even_if_empty",
        ],
    ),
    Held(26, &["a_provider_by_variables_alone_needs_a_base_url"]),
    Held(
        27,
        &[
            "anthropic_version_has_a_default",
            "every_credential_of_the_client_is_replaced_by_the_key_of_the_provider",
        ],
    ),
    Held(
        28,
        &[
            "a_provider_by_variables_alone_needs_a_base_url",
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
        ],
    ),
    Held(29, &["a_deployment_is_asked_at_its_own_address_by_both_doors"]),
    Held(
        30,
        &[
            "custom_headers_go_to_their_provider_only",
            "custom_headers_of_the_provider_win_over_the_clients",
            "no_key_is_ever_shown_whatever_goes_wrong",
        ],
    ),
    Held(31, &["a_header_for_all_goes_to_those_that_have_none_of_its_name"]),
    Held(32, &["a_provider_by_variables_alone_needs_a_base_url"]),
    Held(33, &["a_provider_by_variables_alone_needs_a_base_url"]),
    Held(34, &["a_provider_by_variables_alone_needs_a_base_url"]),
    Held(
        35,
        &[
            "kimi_gets_plain_tool_names_and_the_client_its_own",
            "odd_tool_names_are_the_clients_own_again_streamed_and_whole",
        ],
    ),
    Replaced(
        36,
        "http §1.6 [F]: where there is a key, it is shown from the first call on",
        &[
            "an_openai_providers_models_are_told_in_both_shapes_and_raw",
            "an_anthropic_providers_models_are_asked_for_at_its_own_door",
        ],
    ),
    Held(
        37,
        &[
            "max_retries_is_the_number_of_repeats",
            "timeouts_and_retries_of_variables_stand_above_the_providers_own",
        ],
    ),
    Held(38, &["a_timeout_of_zero_is_none"]),
    Held(39, &["a_providers_timeout_is_a_504_at_both_doors_of_both_formats"]),
    // Default provider.
    Held(
        40,
        &[
            "names_lead_where_the_specification_says",
            "the_default_provider_is_the_configured_else_openai_else_the_first",
        ],
    ),
    Held(
        41,
        &[
            "the_default_provider_is_the_configured_else_openai_else_the_first",
            "show_tells_each_value_with_its_place_and_no_secret",
        ],
    ),
    Held(42, &["one_key_and_the_defaults_start", "other_machines_lead_elsewhere"]),
    Held(
        43,
        &[
            "the_default_provider_is_the_configured_else_openai_else_the_first",
            "the_default_provider_is_openai_or_the_first_or_the_one_that_is_named",
        ],
    ),
    Held(
        44,
        &[
            "the_default_provider_is_the_configured_else_openai_else_the_first",
            "a_default_provider_that_is_not_there_is_told_with_what_is_used",
            "a_default_provider_that_is_not_there_is_a_warning",
        ],
    ),
    Held(45, &["other_machines_lead_elsewhere", "a_profile_comes_first_and_its_terms_hold"]),
    Replaced(
        46,
        "design §10: the demo answers on loopback; elsewhere it starts degraded and names the variable",
        &[
            "with_nothing_configured_the_demo_answers_and_says_so",
            "without_a_provider_beyond_loopback_it_starts_degraded_and_names_the_variable",
        ],
    ),
    // Routing and aliases.
    Held(47, &["names_lead_where_the_specification_says"]),
    Held(48, &["names_lead_where_the_specification_says"]),
    Held(
        49,
        &[
            "profiles_literals_and_nonsense_lead_where_the_specification_says",
            "a_prefix_names_the_provider_in_any_case_and_the_rest_is_the_model",
        ],
    ),
    Held(
        50,
        &[
            "aliases_of_variables_lead_where_the_specification_says",
            "the_whole_name_counts_before_a_part_and_a_long_part_before_a_short_one",
        ],
    ),
    Held(
        51,
        &[
            "the_whole_name_counts_before_a_part_and_a_long_part_before_a_short_one",
            "names_lead_where_the_specification_says",
        ],
    ),
    Held(52, &["the_whole_name_counts_before_a_part_and_a_long_part_before_a_short_one"]),
    Held(53, &["aliases_of_variables_lead_where_the_specification_says"]),
    Held(54, &["aliases_of_variables_lead_where_the_specification_says"]),
    Held(
        55,
        &[
            "what_has_no_effect_is_not_ignored_in_silence",
            "aliases_of_variables_lead_where_the_specification_says",
        ],
    ),
    Held(56, &["aliases_of_variables_lead_where_the_specification_says"]),
    Held(57, &["aliases_of_variables_lead_where_the_specification_says"]),
    Held(
        58,
        &[
            "profiles_literals_and_nonsense_lead_where_the_specification_says",
            "names_that_lead_nowhere_have_their_status_at_both_doors",
        ],
    ),
    Held(59, &["names_lead_where_the_specification_says"]),
    Held(60, &["names_lead_where_the_specification_says"]),
    Held(
        61,
        &[
            "names_lead_where_the_specification_says",
            "a_provider_that_serves_claude_gets_claude_ids_unchanged",
        ],
    ),
    Held(
        62,
        &[
            "circles_and_long_chains_end_with_an_error_and_are_told_at_the_start",
            "names_that_lead_nowhere_have_their_status_at_both_doors",
        ],
    ),
    Held(
        63,
        &[
            "circles_and_long_chains_end_with_an_error_and_are_told_at_the_start",
            "limits_have_the_originals_variables_too",
        ],
    ),
    Held(64, &["other_machines_lead_elsewhere"]),
    Held(65, &["aliases_are_told_by_provider_and_the_suggestions_apart"]),
    Held(
        66,
        &[
            "names_that_lead_nowhere_have_their_status_at_both_doors",
            "an_unknown_provider_is_a_404_that_names_it",
            "an_unknown_provider_is_not_found",
        ],
    ),
    // Profiles.
    Held(
        67,
        &[
            "profiles_literals_and_nonsense_lead_where_the_specification_says",
            "a_profile_comes_first_and_its_terms_hold",
        ],
    ),
    Held(
        68,
        &[
            "profiles_literals_and_nonsense_lead_where_the_specification_says",
            "a_profile_comes_first_and_its_terms_hold",
        ],
    ),
    Held(
        69,
        &[
            "profiles_literals_and_nonsense_lead_where_the_specification_says",
            "a_profile_comes_first_and_its_terms_hold",
        ],
    ),
    Held(70, &["aliases_for_all_and_a_profile_with_a_providers_name_lead_where_the_specification_says"]),
    Replaced(
        71,
        "a target without a provider is always a mistake of its file; one without a key makes the profile inactive, with a warning, and ends no start: there is nothing left to be strict about",
        &[
            "every_mistake_of_a_file_is_one_line_with_line_column_key_and_advice",
            "a_profile_is_as_the_highest_file_has_it",
            "what_has_no_effect_is_not_ignored_in_silence",
        ],
    ),
    Held(72, &["one_key_and_stock_defaults_start", "one_key_and_the_defaults_start"]),
    Held(73, &["a_profiles_timeout_holds_for_what_goes_through_it"]),
    Held(
        74,
        &[
            "a_profile_in_the_place_of_a_provider_lists_its_aliases",
            "profiles_are_told_by_name_with_their_terms_and_where_they_come_from",
        ],
    ),
    // Keys.
    Held(75, &["keys_take_turns", "keys_take_turns_under_load_too"]),
    Held(76, &["a_refused_key_is_replaced_before_the_client_notices"]),
    Replaced(
        77,
        "design §4: the last refusal, or 429 with the wait while a key is merely cooling",
        &[
            "when_all_keys_are_refused_the_last_refusal_reaches_the_client",
            "when_a_key_is_merely_cooling_the_client_is_told_how_long",
        ],
    ),
    Held(78, &["a_single_refused_key_is_the_upstreams_own_answer_every_time"]),
    Held(79, &["the_same_key_twice_is_one_key", "keys_take_blanks_between_them_and_count_once"]),
    Held(80, &["an_exhausted_quota_is_a_matter_of_the_key_whatever_its_status"]),
    Held(
        81,
        &[
            "a_refused_key_is_replaced_before_the_client_notices",
            "the_third_key_serves_on_all_four_ways_streamed_and_whole",
        ],
    ),
    Replaced(
        82,
        "both are mistakes that name the variable, in other words; OAuth is refused anyhow",
        &[
            "every_mistake_of_a_variable_names_it_and_what_it_expects",
            "oauth_is_refused_wherever_it_is_asked_for",
            "mistakes_in_keys_do_not_show_them",
        ],
    ),
    Held(83, &["a_request_that_is_wrong_is_wrong_with_every_key"]),
    Held(
        84,
        &[
            "a_key_that_is_passed_over_is_told_in_the_log_and_never_shown",
            "no_key_is_ever_shown_whatever_goes_wrong",
            "a_key_prints_as_its_id_only",
        ],
    ),
    // Passthrough and the gateway's own key.
    Held(
        85,
        &[
            "without_a_key_of_the_client_it_is_a_401_and_nobody_is_asked",
            "of_a_clients_two_keys_the_one_in_x_api_key_is_sent",
        ],
    ),
    Held(
        86,
        &[
            "of_a_clients_two_keys_the_one_in_x_api_key_is_sent",
            "an_anthropic_upstream_gets_the_clients_key_as_the_client_presents_it",
        ],
    ),
    Held(87, &["an_anthropic_upstream_gets_the_clients_key_as_the_client_presents_it"]),
    Held(88, &["one_clients_bad_key_costs_the_others_nothing_and_is_not_repeated"]),
    Held(
        89,
        &["the_gateways_key_is_wanted_before_anything_is_read", "with_a_proxy_key_only_its_bearers_may_ask"],
    ),
    Held(
        90,
        &[
            "the_gateways_key_is_wanted_at_all_of_them",
            "the_gateways_key_is_wanted_here_too",
            "a_stranger_learns_from_health_only_whether_it_is_healthy",
        ],
    ),
    Held(91, &["the_gateways_key_is_wanted_before_anything_is_read"]),
    Held(
        92,
        &[
            "without_a_key_of_the_client_it_is_a_401_and_nobody_is_asked",
            "a_clients_own_key_is_found_beside_the_gateways",
        ],
    ),
    // OAuth: refused (design §9), in words that say why.
    Replaced(93, OAUTH, &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    Replaced(94, OAUTH, &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    Replaced(95, OAUTH, &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    Replaced(96, OAUTH, &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    Replaced(97, OAUTH, &["oauth_is_refused_wherever_it_is_asked_for"]),
    Replaced(98, OAUTH, &["oauth_is_refused_wherever_it_is_asked_for"]),
    Replaced(99, OAUTH, &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    // The command line.
    Replaced(
        100,
        "`vdm X`, as `vdm --version`; the rest holds",
        &[
            "the_originals_command_line_is_answered_with_what_takes_its_place",
            "usage_mistakes_exit_with_two_and_answers_with_zero",
        ],
    ),
    Held(101, &["json_is_what_the_gateway_says_or_what_went_wrong"]),
    Replaced(
        102,
        "it asks the catalogue itself, with no server; the rest holds",
        &["models_top_needs_to_be_wanted_and_suggests"],
    ),
    Replaced(
        103,
        "it succeeds exactly when the start would, and that goes on with a warning (statement 44)",
        &[
            "a_setup_for_poe_alone_is_valid_and_a_default_without_a_url_is_told",
            "validate_succeeds_when_the_gateway_would_start_and_tells_every_mistake_when_not",
        ],
    ),
    Replaced(
        104,
        "Gemini's own API is not served, and that is said; --dry-run holds for the tools that are",
        &["what_cannot_be_run_is_told_and_starts_no_gateway", "a_dry_run_tells_and_does_nothing"],
    ),
    Replaced(
        105,
        "an unknown tool is a mistake in usage: 2; the rest holds",
        &["what_cannot_be_run_is_told_and_starts_no_gateway"],
    ),
    Held(106, &["its_exit_code_is_that_of_wrap", "a_gateway_that_runs_already_is_used_and_stays"]),
    Held(
        107,
        &[
            "a_dry_run_tells_and_does_nothing",
            "it_is_answered_through_the_gateway_with_the_gateways_key_and_never_sees_the_providers",
        ],
    ),
    Held(108, &["claude_vdm_stands_for_wrap_claude"]),
    Held(
        109,
        &[
            "health_upstream_asks_at_the_providers_own_address",
            "health_upstream_uses_the_keys_as_requests_do",
        ],
    ),
    Held(
        110,
        &[
            "flags_alone_write_what_they_say_and_keep_the_rest",
            "whoever_breaks_off_at_any_question_leaves_everything_as_it_was",
            "the_questions_lead_to_a_file_that_works_and_no_key_is_seen",
        ],
    ),
    Held(
        111,
        &[
            "sigterm_lets_streams_finish_and_then_leaves",
            "a_port_that_is_taken_is_one_line_and_exit_code_3",
            "the_originals_command_line_is_answered_with_what_takes_its_place",
        ],
    ),
    Held(112, &["what_the_start_says_has_no_escape_sequences_in_a_pipe"]),
];

/// By number, those of §10.
const WEAKNESSES: [Weakness; 51] = [
    Weakness(1, &[58], &[]),
    Weakness(2, &[41], &[]),
    Weakness(3, &[45, 68], &[]),
    Weakness(4, &[42, 46], &["the_built_in_providers_come_in_order_and_serve_claude_codes_models"]),
    Weakness(5, &[9], &[]),
    Weakness(6, &[31], &[]),
    Weakness(7, &[], &["oauth_is_refused_wherever_it_is_asked_for"]),
    Weakness(8, &[37, 73], &[]),
    Weakness(9, &[10, 38, 39], &[]),
    Weakness(10, &[], &["a_provider_takes_its_clients_keys_by_the_word_or_by_its_mode"]),
    Weakness(11, &[21], &[]),
    Weakness(12, &[32, 33, 34], &[]),
    Weakness(13, &[72], &[]),
    Weakness(14, &[66], &[]),
    Weakness(15, &[54, 59], &[]),
    Weakness(
        16,
        &[58, 60, 61],
        &["a_model_that_the_provider_lists_is_left_alone_when_it_is_asked_for_by_prefix"],
    ),
    Weakness(17, &[54], &[]),
    Weakness(18, &[43], &[]),
    Weakness(19, &[62, 63], &[]),
    Weakness(20, &[28], &[]),
    Weakness(21, &[20], &[]),
    Weakness(22, &[20], &["other_machines_lead_elsewhere"]),
    Weakness(23, &[57], &[]),
    Weakness(24, &[], &["oauth_is_refused_wherever_it_is_asked_for"]),
    Weakness(
        25,
        &[36],
        &[
            "another_key_lists_when_one_is_refused",
            "lists_of_models_are_each_clients_own",
            "models_are_listed_where_azure_lists_them",
            "the_provider_is_the_headers_then_the_querys_then_the_default",
        ],
    ),
    Weakness(26, &[], &["a_wrong_file_changes_nothing_and_is_told_as_validate_tells_it", "sighup_reloads"]),
    Weakness(27, &[80], &[]),
    Weakness(28, &[81], &[]),
    Weakness(29, &[78], &[]),
    Weakness(30, &[7, 65], &[]),
    Weakness(31, &[79], &[]),
    Weakness(32, &[92], &[]),
    Weakness(33, &[87, 89, 90], &[]),
    Weakness(
        34,
        &[107],
        &[
            "the_gateways_own_key_is_shown_to_it_and_to_nobody_else",
            "where_clients_bring_their_own_keys_theirs_stay",
        ],
    ),
    Weakness(35, &[], &["the_originals_command_line_is_answered_with_what_takes_its_place"]),
    Weakness(36, &[101], &[]),
    Weakness(
        37,
        &[],
        &[
            "aliases_tell_where_they_lead_without_asking_anybody",
            "show_tells_each_value_with_its_place_and_no_secret",
        ],
    ),
    Weakness(38, &[109], &[]),
    Weakness(39, &[], &["of_fifty_at_once_every_line_of_the_log_names_its_own"]),
    Weakness(40, &[103], &[]),
    Weakness(
        41,
        &[],
        &["a_stderr_that_nobody_reads_holds_up_nobody", "its_input_results_and_talk_are_its_own"],
    ),
    Weakness(42, &[], &["two_sessions_share_a_gateway_and_the_last_one_ends_it"]),
    Weakness(43, &[106], &["its_end_by_a_signal_is_that_of_wrap"]),
    Weakness(
        44,
        &[111],
        &[
            "status_tells_how_a_gateway_is",
            "stop_lets_requests_finish_and_waits_for_the_end",
            "restart_takes_the_same_command_line_and_what_has_changed_in_the_files",
        ],
    ),
    Weakness(45, &[], &["openais_organization_and_project_go_to_openai_alone"]),
    Weakness(46, &[], &["headers_of_framing_routing_and_credentials_are_refused"]),
    Weakness(47, &[], &["health_tells_the_mode_and_no_key"]),
    Weakness(48, &[], &["oauth_is_refused_wherever_it_is_asked_for"]),
    Weakness(49, &[19], &[]),
    Weakness(50, &[], &["secrets_are_in_no_output", "mistakes_in_keys_do_not_show_them"]),
    Weakness(51, &[23, 44], &["the_start_message_says_where_it_listens_and_how_to_point_claude_code_at_it"]),
];

#[test]
fn every_statement_of_the_configuration_has_its_place() {
    assert_complete(&TABLE, LAST);
}

#[test]
fn what_is_said_to_hold_of_the_configuration_is_held_by_tests_that_are_there() {
    assert_held(&TABLE);
}

#[test]
fn every_weakness_of_the_originals_configuration_is_answered() {
    assert_answered(&WEAKNESSES, 51, LAST);
}
