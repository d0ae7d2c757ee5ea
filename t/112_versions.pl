# The library and what it meets: a server that is too old for it, and tables that an
# earlier version of the extension made.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ----------
# An old server
# ----------

SKIP:
{
	my $node = control_node('old_server', 'BURN_OLD_SERVER_STAGE')
	  or skip 'BURN_OLD_SERVER_STAGE is not set: no such build (make test makes one)', 3;
	my $required = qr/burn_note requires PostgreSQL \d+\.\d+ or later/;

	$node->start;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "LOAD 'burn_note'");
	like($stderr, qr/ERROR:  $required\nDETAIL:  This server is \d+/, 'a_server_of_an_older_minor_does_not_load_it');
	$node->stop;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'burn_note'");
	ok(!$node->start(fail_ok => 1), 'nor_does_it_start_where_it_is_preloaded');
	like(slurp_file($node->logfile), qr/FATAL:  $required/, 'and_says_why');
}

# The minors that src/compat.h asks for, as README and META.json say them
{
	my $compat = slurp_file("$FindBin::RealBin/../src/compat.h");
	my $readme = slurp_file("$FindBin::RealBin/../README.md");
	my $meta = slurp_file("$FindBin::RealBin/../META.json");
	my %first = map { int($_ / 10000) => $_ % 10000 } $compat =~ /^#define SERVER_VERSION_MIN (\d+)$/mg;
	my ($too_new) = $compat =~ /PG_VERSION_NUM >= (\d+)0000\n#error/;
	my ($range) = $meta =~ /"PostgreSQL": "([^"]+)"/;

	is(join(' ', map { "$_.$first{$_}" } sort keys %first), '15.13 16.9 17.5', 'compat_h_has_the_first_minors');
	like($readme, qr/^PostgreSQL \Q15.$first{'15'}, 17.$first{'17'}, 18.0, 19.0\E and later/m, 'README_says_them');
	is($range, join(', ', ">= 15.$first{15}.0",
			map { my $major = $_; map { "!= $major.$_.0" } 0 .. $first{$major} - 1 } 16, 17)
		  . ", < $too_new.0.0", 'and_so_does_META_json');
}

# ----------
# Tables of an earlier version
# ----------

# Between `make install` of a later version, which has one more column in burn_receipt,
# and ALTER EXTENSION ... UPDATE. The later version's script stands beside today's.
SKIP:
{
	my $node = control_node('later', 'BURN_LATER_COLUMN_STAGE')
	  or skip 'BURN_LATER_COLUMN_STAGE is not set: no such build (make test makes one)', 11;
	my $extensions = $ENV{BURN_LATER_COLUMN_STAGE} . $node->config_data('--sharedir') . '/extension';
	my $reads = <<~'SQL';
		SELECT burn_create('a note') AS token \gset
		SELECT burn_read(:'token', '192.0.2.1');
		SELECT burn_read(:'token');
		SELECT state, client_ip, burn_verify_receipt(:'token') FROM burn_status(:'token');
		SELECT burn_purge();
		SQL
	my $answers = "a note\nNULL\nread|192.0.2.1|t\n0";

	my $records = <<~'SQL';
		SELECT status.later IS NULL, counters.later IS NULL, facts.later IS NULL, status.state
			FROM burn_status(burn_create('x')) AS status, burn_stats_counters() AS counters, burn_check_facts() AS facts
		SQL

	append_to_file("$extensions/burn_note--1.0--1.1.sql", <<~'SQL');
		ALTER TABLE @extschema@.burn_receipt ADD later text;
		ALTER TYPE @extschema@.burn_note_status ADD ATTRIBUTE later text;
		ALTER TYPE @extschema@.burn_counters ADD ATTRIBUTE later bigint;
		ALTER TYPE @extschema@.burn_facts ADD ATTRIBUTE later bigint;
		SQL
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION burn_note VERSION '1.0' CASCADE");
	my $session = $node->background_psql('postgres');
	my ($early, $late) = map { create($node, "'kept'") } 1 .. 2;

	is(answer_of($node, $reads), $answers, 'an_earlier_versions_tables_are_served');
	$node->safe_psql('postgres', 'ALTER TABLE burn_receipt ADD theirs integer');
	is(answer_of($node, $reads), $answers, 'also_with_a_column_of_the_users');
	my $read_and_look = sub {
		return $session->query_safe("SELECT burn_read('$_[0]')") . ' '
		  . $session->query_safe("SELECT state, burn_verify_receipt('$_[0]') FROM burn_status('$_[0]')");
	};
	is($read_and_look->($early), 'kept read|t', 'a_session_reads_before_the_update');

	$node->safe_psql('postgres', "ALTER EXTENSION burn_note UPDATE TO '1.1'");
	is($read_and_look->($late), 'kept read|t', 'and_after_it');
	$session->quit;
	is(answer_of($node, $reads), $answers, 'so_do_others');
	is(answer_of($node, $records), 't|t|t|sealed', 'records_have_NULL_where_only_their_type_has_a_column');
	is(answer_of($node, 'SELECT later, theirs, count(*) FROM burn_receipt GROUP BY 1, 2 ORDER BY 1'),
		"a later version|NULL|2\nNULL|NULL|3", 'the_later_column_is_filled_from_then_on');

	$node->safe_psql('postgres', 'ALTER TABLE burn_receipt DROP later');
	is(answer_of($node, $reads), $answers, 'a_column_that_was_dropped_is_left_out');
	$node->safe_psql('postgres', 'ALTER TABLE burn_receipt ADD later integer');
	is(sqlstate($node, "SELECT burn_create('x')"), '55000', 'a_column_of_another_type_is_not_taken_for_it');
	$node->safe_psql('postgres', 'ALTER TABLE burn_receipt DROP later; ALTER TABLE burn_receipt ADD later text');

	# who updates the extension before the server runs the new library
	SKIP:
	{
		skip 'BURN_STAGE is not set', 2 if !defined $ENV{BURN_STAGE};
		$node->append_conf('postgresql.conf', slurp_file("$ENV{BURN_STAGE}/server.conf"));
		$node->restart;
		is(answer_of($node, $reads), $answers, 'an_earlier_library_serves_a_later_versions_tables');
		is(answer_of($node, $records), 't|t|t|sealed', 'and_its_records');
	}
}

done_testing();
