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
	GRANT EXECUTE ON FUNCTION burn_check(), burn_check_facts() TO nobody');

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

	like(found($node, $do), qr/\A\Q$check\E: [^\n]*$says[^\n]*\. (?:[A-Z]\w+: |All four: |pg_dump )[^\n]+\z/, $name);
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
is(join(',', found($plain, '') =~ /^(\w[\w ]*):/mg), 'preloaded,preload order,redaction', 'not_preloaded');
like(found($plain, ''), qr/^redaction: burn_note is not preloaded, and statements are written down: log_min_error_statement = error\. /m,
	'without_redaction_failing_statements_are_written_down');
unlike(found($plain, 'SET log_min_error_statement = panic'), qr/^redaction:/m, 'unless_nothing_is');
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
is(found($node, 'SET burn_note.redact = strict'), '', 'strict_is_redaction_too');
weakens('core files', 'SET burn_note.dumpable = on', '', 'burn_note.dumpable = on');

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
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
$standby->stop;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_replication') or die 'still there';

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
weakens('pending notes', q(SELECT 'one is there'), "SELECT burn_read('$token')", 'notes that wait to be read: 1');
weakens('sweeping', q(INSERT INTO burn_note VALUES ('00000000-0000-8000-8000-000000000000', now(), 'void', '')),
	q(DELETE FROM burn_note), 'were not swept: 1');

done_testing();
