# What burn_check() says of a server that is set up well, and of one thing at a time that
# is not.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('checked',
	init => { allows_streaming => 'logical' },
	conf => <<~'CONF');
	shared_preload_libraries = 'auto_explain, pg_stat_statements, burn_note'
	burn_note.databases = ''
	fsync = on
	CONF
$node->safe_psql('postgres', 'CREATE ROLE web; CREATE ROLE nobody LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	GRANT EXECUTE ON FUNCTION burn_check(burn_facts), burn_check_facts() TO nobody');

# Rows of burn_check() after the statements in $before: "name: detail" of those that are
# not ok, or, where ok is given, of those with that ok.
sub found
{
	my ($server, $before, %option) = @_;
	my $ok = $option{ok} // 'false';
	my @role = defined $option{role} ? (extra_params => [ '-U', $option{role} ]) : ();
	return $server->safe_psql('postgres',
		qq(SET client_min_messages = error;\n\\o /dev/null\n$before;\n\\o\n)
		  . qq(SELECT "check" || ': ' || detail FROM burn_check() WHERE ok IS NOT DISTINCT FROM $ok), @role);
}

# The statements make this one check fail, and say that; undoing them mends it. They need
# not be undone where they last for the session.
sub weakens
{
	my ($check, $do, $undo, $says) = @_;
	my $name = "$check: $do" =~ s/\s+/ /gr;

	like(found($node, $do), qr/\A\Q$check\E: [^\n]*$says[^\n]*\. (?:[A-Z]\w+: |All four: )[^\n]+\z/, $name);
	is(found($node, $undo), '', "$name, undone");
	return;
}

# They make no check fail; then undo them.
sub harmless
{
	my ($do, $undo) = @_;
	is(found($node, $do), '', "harmless: $do");
	$node->safe_psql('postgres', $undo);
	return;
}

# The same for settings that a session does not have of its own.
sub setting_weakens
{
	my ($check, $settings, $says) = @_;

	configure($settings);
	like(found($node, ''), qr/\A\Q$check\E: [^\n]*$says[^\n]*\. [A-Z]\w+: [^\n]+\z/, "$check: " . join(', ', %$settings));
	configure({ map { $_ => undef } keys %$settings });
	is(found($node, ''), '', "$check: back to what it was");
	return;
}

sub configure
{
	my ($settings) = @_;

	$node->safe_psql('postgres', defined $settings->{$_} ? "ALTER SYSTEM SET $_ = $settings->{$_}" : "ALTER SYSTEM RESET $_")
	  foreach keys %$settings;
	$node->restart;
	return;
}

# Set up well

is(found($node, ''), '', 'a_server_that_is_set_up_well_has_nothing_to_mend');
is(found($node, '', ok => 'NULL'), '', 'and_nothing_that_a_superuser_may_not_see');
is(found($node, '', role => 'monitor'), '', 'nor_for_pg_monitor');
is(found($node, '', role => 'monitor', ok => 'NULL'), '', 'who_may_see_it_all');
like(found($node, '', role => 'nobody', ok => 'NULL'), qr/\Apreload order: You may not see it[^\n]+pg_monitor[^\n]+\z/,
	'who_has_EXECUTE_only_is_told_what_is_missing');
is(found($node, '', role => 'nobody'), '', 'and_sees_the_rest');

# Preloading

setting_weakens('preload order', { shared_preload_libraries => 'burn_note, auto_explain' }, 'after burn_note: auto_explain');
setting_weakens('preload order', { shared_preload_libraries => q(burn_note, "$libdir/auto_explain.so") }, 'after burn_note: auto_explain');
weakens('preload order', 'ALTER ROLE web SET session_preload_libraries = pg_prewarm',
	'ALTER ROLE web RESET ALL', 'after burn_note: pg_prewarm');
weakens('preload order', 'ALTER ROLE web IN DATABASE postgres SET local_preload_libraries = pg_prewarm',
	'ALTER ROLE web IN DATABASE postgres RESET ALL', 'after burn_note: pg_prewarm');
harmless('ALTER ROLE web SET session_preload_libraries = auto_explain', 'ALTER ROLE web RESET ALL');

my $plain = burn_node('unpreloaded', conf => "fsync = on\nlog_statement = none\n");
like(found($plain, ''),
	qr/\Apreloaded: burn_note is not in shared_preload_libraries, and statements are written down: log_min_error_statement = error\. [^\n]+\z/,
	'an_unpreloaded_server_has_one_thing_to_mend');
like(found($plain, 'SET log_min_error_statement = panic'), qr/\Apreloaded: burn_note is not in shared_preload_libraries\. [^\n]+\z/,
	'it_does_not_say_that_statements_are_written_down_where_none_is');
is(found($plain, '', ok => 'true') =~ s/^(?!pre|red).*\n?//mgr, "preload order: see preloaded\nredaction: see preloaded\n",
	'and_what_depends_on_it_refers_to_it');
is($plain->safe_psql('postgres', q(GRANT EXECUTE ON FUNCTION burn_check(burn_facts), burn_check_facts() TO PUBLIC; CREATE ROLE nobody LOGIN)), '', 'for_a_role');
is(found($plain, '', role => 'nobody', ok => 'NULL'), '', 'that_may_look_at_no_setting_this_is_no_secret');
like(found($plain, 'LOAD $$burn_note$$; SET burn_note.redact = off'), qr/\Apreloaded: [^\n]+\nredaction: burn_note.redact = off, and [^\n]+\z/,
	'redaction_that_is_off_is_a_second_thing');
$plain->stop;

# Redaction, core files

weakens('redaction', 'SET burn_note.redact = off; SET log_statement = mod', '', 'burn_note.redact = off, .*log_statement = mod');
my $silent = 'SET burn_note.redact = off; SET log_statement = none; SET log_min_error_statement = panic; SET pg_stat_statements.track = none';
is(found($node, $silent), '', 'redaction_off_where_no_statement_is_written_down');
my %writes = (
	(map { $_ => 'on' } qw(debug_print_parse debug_print_rewritten debug_print_plan)),
	(map { $_ => '0' } qw(auto_explain.log_min_duration log_min_duration_sample log_min_duration_statement)),
	(map { $_ => 'all' } qw(log_statement pg_stat_statements.track)),
	log_min_error_statement => 'error', log_parameter_max_length_on_error => '-1', log_transaction_sample_rate => '0.5');
$writes{debug_print_raw_parse} = 'on' if $node->pg_version >= 19;
weakens('redaction', "$silent; SET $_ = '$writes{$_}'", '', "written down: \Q$_ = $writes{$_}\E") foreach sort keys %writes;
weakens('redaction', "$silent; ALTER ROLE web SET pgaudit.log = 'write'", 'ALTER ROLE web RESET ALL', 'written down: pgaudit.log = write for web');
weakens('redaction', 'ALTER ROLE web SET burn_note.redact = off', 'ALTER ROLE web RESET ALL', 'burn_note.redact = off for web,');
weakens('redaction', 'ALTER ROLE web IN DATABASE postgres SET burn_note.redact = off', 'ALTER ROLE web IN DATABASE postgres RESET ALL',
	'burn_note.redact = off for web in this database,');
harmless("ALTER ROLE web SET $_", 'ALTER ROLE web RESET ALL')
  foreach q(burn_note.redact = 'ON'), q(burn_note.dumpable = 'False'), q(burn_note.dumpable = 'no');
is(found($node, "$silent; ALTER ROLE web SET debug_print_plan = 'FALSE'; ALTER ROLE web SET log_statement = 'NONE'"), '',
	'settings_as_somebody_typed_them');
$node->safe_psql('postgres', 'ALTER ROLE web RESET ALL');
is(found($node, 'SET burn_note.redact = quiet'), '', 'quiet_is_redaction_too');
weakens('core files', 'SET burn_note.dumpable = on', '', 'burn_note.dumpable = on');

# Wrappers: functions of this database, other extensions' too

my $by_body = 'CREATE FUNCTION by_body(n text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN public.Burn_Create(n); END$$';
weakens('wrappers', $by_body, 'DROP FUNCTION by_body', 'called by functions of this database: by_body\(text\)');
weakens('wrappers', 'CREATE FUNCTION by_tree(t text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT burn_read(t); END',
	'DROP FUNCTION by_tree', ': by_tree\(text\)');
weakens('wrappers', q(CREATE PROCEDURE of_bytes(n bytea) LANGUAGE plpgsql AS 'BEGIN PERFORM burn_create_bytes(n); END'),
	'DROP PROCEDURE of_bytes', ': of_bytes\(bytea\)');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements');
weakens('wrappers', "$by_body; ALTER EXTENSION pg_stat_statements ADD FUNCTION by_body",
	'DROP EXTENSION pg_stat_statements', ': by_body\(text\)');
harmless(q(CREATE FUNCTION by_rate() RETURNS text LANGUAGE sql AS 'SELECT ''burn_rate, burn_created_at, my_burn_read'''), 'DROP FUNCTION by_rate()');
weakens('wrappers', "$by_body; ALTER ROLE web SET burn_note.redact = quiet", 'ALTER ROLE web RESET ALL; DROP FUNCTION by_body', ': by_body\(text\)');
$node->safe_psql('postgres', "$by_body; ALTER DATABASE postgres SET burn_note.redact = 'QUIET'");
is(found($node, ''), '', 'wrappers_where_the_database_is_quiet');
weakens('wrappers', 'ALTER ROLE web SET burn_note.redact = on', 'ALTER ROLE web RESET ALL', ': by_body\(text\)');
weakens('wrappers', 'SET burn_note.redact = on', '', ': by_body\(text\)');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');
like(found($node, '', role => 'nobody'), qr/\Awrappers: /, 'which_everybody_may_see');
is(found($node, 'DROP FUNCTION by_body'), '', 'wrappers_that_are_gone');

# Network. No machine has the address 192.0.2.1: the server warns of it, and starts.

setting_weakens('TLS', { listen_addresses => q('127.0.0.1, 192.0.2.1') }, 'ssl is off and listen_addresses is 127.0.0.1, 192.0.2.1');
configure({ listen_addresses => q('localhost, ::1') });
is(found($node, ''), '', 'loopback_needs_no_TLS');
SKIP:
{
	my $files = $node->data_dir . '/server';

	skip 'no openssl to make a certificate with', 1
	  if system("openssl req -new -x509 -nodes -subj /CN=test -keyout $files.key -out $files.crt 2>/dev/null") != 0;
	chmod 0600, "$files.key";
	configure({ listen_addresses => q('127.0.0.1, 192.0.2.1'), ssl => 'on' });
	is(found($node, ''), '', 'with_TLS_it_may_listen_anywhere');
}
configure({ listen_addresses => undef, ssl => undef });

# Crashes, kept WAL

setting_weakens('crash safety', { fsync => 'off' }, 'fsync = off');
setting_weakens('crash safety', { full_page_writes => 'off' }, 'full_page_writes = off');
setting_weakens('kept WAL', { archive_mode => 'on', archive_command => 'true' }, 'archive_mode = on');
setting_weakens('kept WAL', { wal_keep_size => q('1GB') }, 'wal_keep_size = 1024');
weakens('kept WAL', q(SELECT pg_create_physical_replication_slot('left', true)),
	q(SELECT pg_drop_replication_slot('left')), 'slot left keeps WAL from [0-9A-F]+/[0-9A-F]+ on');
weakens('kept WAL', q(SELECT pg_create_logical_replication_slot('left', 'pgoutput')),
	q(SELECT pg_drop_replication_slot('left')), 'slot left keeps WAL');
harmless(q(SELECT pg_create_physical_replication_slot('kept')), q(SELECT pg_drop_replication_slot('kept')));

# Standbys

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'fsync = on');
$standby->start;
$node->wait_for_catchup($standby);
like(found($node, ''), qr/\Astandbys: not synchronous: standby\. Gone: [^\n]+\z/, 'a_standby_that_is_not_synchronous');
like(found($node, '', role => 'nobody', ok => 'NULL'), qr/^standbys: You may not see it/m, 'which_not_everybody_may_see');
like(found($node, '', role => 'monitor'), qr/\Astandbys: not synchronous: standby\. /, 'but_pg_monitor_may');
is(found($standby, ''), '', 'a_standby_answers_for_itself');

$node->append_conf('postgresql.conf', "synchronous_standby_names = 'other, standby'");
$node->reload;
$node->poll_query_until('postgres', "SELECT sync_state = 'sync' FROM pg_stat_replication") or die 'not synchronous';
is(found($node, ''), '', 'a_synchronous_standby');

# Sets synchronous_standby_names, and waits until the standby's state follows.
sub synchronize
{
	my ($names, $state) = @_;

	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$names'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = '$names'
		AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state <> '$state')") or die "$names is not in force";
	return;
}

my $missing = qr/\Amissing standbys: synchronous standbys that stream: 1 of 2\. Until they are back, [^\n]+UB004[^\n]+\z/;
foreach my $names ('2 (other, standby)', 'FIRST 2(standby,other)')
{
	synchronize($names, 'sync');
	like(found($node, ''), $missing, "fewer_standbys_than_must_confirm: $names");
}
like(found($node, '', role => 'monitor'), $missing, 'which_pg_monitor_may_see');
like(found($node, '', role => 'nobody', ok => 'NULL'), qr/^missing standbys: You may not see it/m, 'and_not_everybody');
is(found($node, '', role => 'nobody'), '', 'who_is_told_nothing_wrong');
synchronize('ANY 2 ("other, too", standby)', 'quorum');
like(found($node, ''), $missing, 'fewer_than_a_quorum');
foreach my $names ('ANY 1 (other, standby)', 'any 1 ("a ""b"", c", standby)', 'Any  1 (*)')
{
	synchronize($names, 'quorum');
	like(found($node, '', role => $_), qr/\Aquorum: synchronous_standby_names is \Q$names\E\. Gone: [^\n]+\z/, "$_ sees a quorum: $names")
	  foreach 'monitor', 'nobody';
}
synchronize('ANY 1 (standby)', 'quorum');
is(found($node, ''), '', 'a_quorum_of_all_is_none');

$standby->append_conf('postgresql.conf', "synchronous_standby_names = 'other'");
$standby->reload;
$standby->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'other'") or die 'not reloaded';
is(found($standby, ''), '', 'a_standby_waits_for_nobody');

synchronize('standby', 'sync');
$standby->stop;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_replication') or die 'still there';
like(found($node, '', role => 'nobody'), qr/\Amissing standbys: synchronous standbys that stream: 0 of 1\. [^\n]+\z/,
	'that_none_is_there_everybody_may_see');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = ''") or die 'not reloaded';

# who decodes is no standby
my $decoder = IPC::Run::start([ 'pg_recvlogical', '--dbname', $node->connstr('postgres'), '--slot', 'decoder',
		'--plugin', 'pgoutput', '--option', 'proto_version=1', '--option', 'publication_names=none',
		'--create-slot', '--start', '--file', $node->data_dir . '/decoded' ]);
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid')
  or die 'pg_recvlogical does not decode';
is(found($node, ''), '', 'who_decodes_is_no_standby');
$decoder->kill_kill;
$node->poll_query_until('postgres', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'decoder'") or die 'still there';
$node->safe_psql('postgres', q(SELECT pg_drop_replication_slot('decoder')));

# Publications

weakens('publications', 'CREATE PUBLICATION p FOR TABLE burn_receipt', 'DROP PUBLICATION p', 'p publishes burn_receipt');
weakens('publications', 'CREATE PUBLICATION p FOR TABLES IN SCHEMA public', 'DROP PUBLICATION p', 'p publishes burn_attempt, p publishes burn_note, ');
weakens('publications', 'CREATE PUBLICATION p FOR ALL TABLES', 'DROP PUBLICATION p', 'p publishes burn_attempt, p publishes burn_note, ');
harmless('CREATE TABLE mine (); CREATE PUBLICATION p FOR TABLE mine', 'DROP TABLE mine; DROP PUBLICATION p');

# Rights

weakens('grants', 'GRANT SELECT, DELETE ON burn_note TO web', 'REVOKE ALL ON burn_note FROM web', 'web may DELETE, SELECT burn_note');
weakens('grants', 'GRANT INSERT ON burn_receipt TO PUBLIC', 'REVOKE ALL ON burn_receipt FROM PUBLIC', 'PUBLIC may INSERT burn_receipt');
weakens('grants', 'GRANT SELECT (sealed) ON burn_note TO web', 'REVOKE SELECT (sealed) ON burn_note FROM web', 'web may SELECT burn_note');
harmless('GRANT EXECUTE ON FUNCTION burn_read(text, inet, text) TO web', 'DROP OWNED BY web');

# who installed it, and is no superuser, has what CREATE EXTENSION gave
$node->safe_psql('postgres', 'CREATE ROLE owner; CREATE DATABASE owned OWNER owner');
my $grants = q(SELECT ok FROM burn_check() WHERE "check" = 'grants');
is($node->safe_psql('owned', "SET ROLE owner; SET client_min_messages = error; CREATE EXTENSION burn_note CASCADE; $grants"),
	't', 'what_the_installer_was_given_is_not_foreign');
is($node->safe_psql('owned', "GRANT DELETE ON burn_receipt TO owner; $grants"), 'f', 'what_he_was_given_later_is');
$node->safe_psql('postgres', 'DROP DATABASE owned; DROP ROLE owner');

# Tables

$node->safe_psql('postgres', 'CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$');
weakens('tables', 'CREATE TRIGGER look AFTER INSERT ON burn_note FOR EACH ROW EXECUTE FUNCTION look()',
	'DROP TRIGGER look ON burn_note', 'burn_note has the trigger look');
weakens('tables', 'CREATE TRIGGER look BEFORE INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION look()',
	'DROP TRIGGER look ON burn_receipt', 'burn_receipt has the trigger look');
harmless('CREATE TRIGGER outbox AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION look()',
	'DROP TRIGGER outbox ON burn_receipt');
weakens('tables', 'ALTER TABLE burn_note DISABLE TRIGGER burn_note_refuse_update',
	'ALTER TABLE burn_note ENABLE ALWAYS TRIGGER burn_note_refuse_update', 'burn_note does not refuse an UPDATE');
weakens('tables', 'CREATE RULE away AS ON INSERT TO burn_receipt DO INSTEAD NOTHING',
	'DROP RULE away ON burn_receipt', 'burn_receipt has the rule away');
weakens('tables', 'ALTER TABLE burn_receipt ENABLE ROW LEVEL SECURITY',
	'ALTER TABLE burn_receipt DISABLE ROW LEVEL SECURITY', 'burn_receipt has row security');
weakens('tables', 'ALTER TABLE burn_attempt SET UNLOGGED', 'ALTER TABLE burn_attempt SET LOGGED', 'burn_attempt is unlogged');
weakens('tables', 'ALTER TABLE burn_note REPLICA IDENTITY FULL',
	'ALTER TABLE burn_note REPLICA IDENTITY NOTHING', 'burn_note has a replica identity');
weakens('tables', 'CREATE INDEX copy ON burn_note (id) INCLUDE (fuse)', 'DROP INDEX copy', 'the index copy may copy');
weakens('tables', 'CREATE INDEX copy ON burn_note ((substr(sealed, 1, 9)))', 'DROP INDEX copy', 'the index copy may copy');
harmless('CREATE INDEX young ON burn_note (created_at)', 'DROP INDEX young');
weakens('tables', 'ALTER TABLE burn_note ALTER sealed SET STATISTICS 10',
	'ALTER TABLE burn_note ALTER sealed SET STATISTICS 0', 'ANALYZE copies burn_note.sealed');
weakens('tables', 'ALTER TABLE burn_note ALTER fuse SET STATISTICS -1',
	'ALTER TABLE burn_note ALTER fuse SET STATISTICS 0', 'ANALYZE copies burn_note.fuse');
weakens('tables', 'CREATE STATISTICS s ON id, sealed FROM burn_note', 'DROP STATISTICS s', 'the statistics s of burn_note');

# Indexes. What a cancelled REINDEX CONCURRENTLY leaves behind:
my $writer = $node->background_psql('postgres');
$writer->query_safe(q(BEGIN; INSERT INTO burn_attempt VALUES ('00000000-0000-8000-8000-000000000000', now())));
my $reindex = $node->background_psql('postgres', on_error_stop => 0);
my $reindexer = $reindex->query('SELECT pg_backend_pid()');
$reindex->query_until(qr/SENT/, "\\echo SENT\nREINDEX INDEX CONCURRENTLY burn_attempt_id_idx;\n\\echo :LAST_ERROR_SQLSTATE DONE\n");
$node->poll_query_until('postgres', "SELECT wait_event = 'virtualxid' FROM pg_stat_activity WHERE pid = $reindexer")
  or die 'REINDEX does not wait';
$node->safe_psql('postgres', "SELECT pg_cancel_backend($reindexer)");
like($reindex->query_until(qr/DONE/, ''), qr/57014 DONE/, 'REINDEX CONCURRENTLY is cancelled');
$writer->query_safe('ROLLBACK');
$writer->quit;
$reindex->quit;
my $left = qr/\Atables: the index burn_attempt_id_idx_ccnew is not valid: [^\n]*DROP it [^\n]+\z/;
like(found($node, '', role => $_), $left, "$_ sees_an_index_that_is_not_valid") foreach 'monitor', 'nobody';
is(found($node, 'DROP INDEX burn_attempt_id_idx_ccnew'), '', 'and_is_well_without_it');

my $unfit = 'burn_attempt has no btree index on id alone, or one that is not valid or not of all rows';
my $ours = 'CREATE INDEX burn_attempt_id_idx ON burn_attempt';
weakens('tables', "DROP INDEX burn_attempt_id_idx; $_", "DROP INDEX burn_attempt_id_idx; $ours (id)", $unfit)
  foreach "$ours (id) WHERE at > '2000-01-01'", "$ours USING hash (id)", "$ours ((id::text))", "$ours (at, id)", "$ours (id, at)";

# Versions

my $version = $node->safe_psql('postgres', q(SELECT extversion FROM pg_extension WHERE extname = 'burn_note'));
weakens('version', q(UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'burn_note'),
	"UPDATE pg_extension SET extversion = '$version' WHERE extname = 'burn_note'", "the extension is 0.9, the library \Q$version\E");
SKIP:
{
	my $files = PostgreSQL::Test::Utils::tempdir();

	skip 'before PostgreSQL 18 a server cannot be told of newer files', 2 if $node->pg_version < 18;
	mkdir "$files/extension";
	append_to_file("$files/extension/burn_note.control", "default_version = '9.9'\n");
	weakens('version', "SET extension_control_path = '$files'", '', "the library is \Q$version\E, the installed files are 9.9");
}

# Notes

my $token = create($node);
is(found($node, ''), '', 'notes_that_wait_to_be_read_are_no_weakness');
like(found($node, '', ok => 'true'), qr/^pending notes: notes that wait to be read: 1; pg_dump leaves them behind/m, 'but_are_told');
$node->safe_psql('postgres', "SELECT burn_read('$token')");
weakens('sweeping', q(INSERT INTO burn_note VALUES ('00000000-0000-8000-8000-000000000000', now(), 'void', NULL, '')),
	q(DELETE FROM burn_note), 'were not swept: 1');

# Dropping. burn_check() begins while the extension is there and goes on when it is gone:
# it waits for the publications, and before that, if it looks at its own tables first, for them.

$node->safe_psql('postgres', 'CREATE DATABASE dropped');
$node->safe_psql('dropped', 'SET client_min_messages = error; CREATE EXTENSION burn_note CASCADE');
my $dropper = $node->background_psql('dropped');
$dropper->query_safe('BEGIN; LOCK TABLE pg_publication; DROP EXTENSION burn_note');
my $checker = $node->background_psql('dropped', on_error_stop => 0);
my $checking = $checker->query('SELECT pg_backend_pid()');
$checker->query_until(qr/SENT/, "\\echo SENT\nSELECT FROM burn_check();\n\\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE DONE\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE pid = $checking AND NOT granted")
  or die 'burn_check() does not wait';
$dropper->query_safe('COMMIT');
like($checker->query_until(qr/DONE/, ''), qr/^42P01 table "burn_note" of extension burn_note does not exist DONE$/m,
	'who_asks_while_the_extension_is_dropped_is_told_that');
$checker->quit;
$dropper->quit;

done_testing();
