#
# What the operator still sees with redaction on: who has failed and how, our own errors
# whole, other statements of a session that had a secret, what stops the server; in every
# format of log, in other languages, and on a full disk.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use Logs;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = logging_node('logged', '');
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE regress_bounded;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_bounded;
	CREATE FUNCTION wrapper(a text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN burn_create(a); END';
	SQL

# ----------
# Severity and SQLSTATE of each, in each format
# ----------

{
	my %log = logged($node, sub {
		$node->psql('postgres', q(SELECT burn_read('bad token')));
		$node->psql('postgres', q(SET statement_timeout = '1s'; SELECT burn_create('x'), pg_sleep(600)));
		terminate($node, waiting($node, 'PgSleep', q(SELECT burn_create('x'), pg_sleep(600))));
	});
	foreach my $record ([ 'ERROR', 'UB001', 'invalid burn note token' ],
		[ 'ERROR', '57014', 'canceling statement due to statement timeout' ],
		[ 'FATAL', '57P01', 'terminating connection due to administrator command' ])
	{
		my ($severity, $sqlstate, $message) = @$record;
		my %expected = (
			log => qr/^\d+ $sqlstate $severity:  $message$/m,
			csv => qr/,$severity,$sqlstate,"$message",/,
			json => qr/"error_severity":"$severity","state_code":"$sqlstate","message":"$message"/);
		like($log{$_}, $expected{$_}, "$_: $severity $sqlstate has both, and a message without values") foreach sort keys %expected;
	}
}

# ----------
# A session that has handled a secret, and goes on to others: whole, but where nothing of
# ours stood in the text that led to us, and EXECUTE, which may lead there
# ----------

my @others = (q(SELECT 'we do -- nothing (at all)' AS mine), 'GRANT SELECT /* (always) */ ON pg_class TO regress_bounded', 'SELECT 1 AS executed_at');
my @shapes = (q(SELECT '?' AS mine), 'GRANT SELECT   ON pg_class TO regress_bounded', 'SELECT ? AS executed_at');
my @execute = (q(SELECT 'we' AS execute), q(SELECT '?' AS execute));

foreach my $call ([ q(SELECT burn_create('x')), 'whole', @others, $execute[1] ], [ q(SELECT wrapper('x')), 'blanked', @shapes, $execute[1] ])
{
	my ($first, $how, @expected) = @$call;
	my %log = logged($node, sub { $node->safe_psql('postgres', join(";\n", $first, q(SET log_statement = 'all'), @others, $execute[0])) });
	like($log{log}, qr/LOG:  statement: \Q$_\E;?$/m, "after $first others are logged $how: $_") foreach @expected;
}

# And ends. (This waits for the record.)
{
	my %log = logged($node,
		sub { $node->safe_psql('postgres', q(SELECT burn_create('x')), connstr => $node->connstr('postgres') . q( options='-c log_disconnections=on')) },
		qr/LOG:/);
	like($log{log}, qr/disconnection: session time/, 'the end of a session is no secret');
}

# ----------
# Our own errors, which are logged whole
# ----------

# What each of their formats prints. Who adds one says here what it shows, which is nothing
# that a caller gave but a role's, a table's, a database's or a trigger's name.
my %prints = (
	'%s The note is not burned.' => 'how many standbys are there',
	'%s cannot be converted to UTF-8' => 'what cannot: a burn note, a passphrase',
	'%s must not be null' => "an argument's name",
	'%s' => 'what of a note does not authenticate',
	'A token has %d characters, without spaces and the rest of a link. Was it cut short or altered?' => 'a constant',
	'Another transaction has been writing its receipt for longer than %d ms.' => 'lock_timeout',
	'Another transaction has locked its row for longer than %d ms. The note is not burned.' => 'lock_timeout',
	'It has more than %zu bytes.' => 'a constant',
	'Its ctid is (%u,%u). Nothing is burned.' => "the row's place",
	'Read it with %s. It is not burned.' => "a function's name",
	'This server is %s. Earlier minor releases do not tell whether there are synchronous standbys.' => 'its version',
	'a burn note cannot live longer than %s' => 'burn_note.max_ttl',
	'a trigger on table "%s" removed a row that burn_note relies on' => "a table's name",
	'a trigger on table "%s" skipped a delete that burn_note relies on' => "a table's name",
	'a trigger on table "%s" skipped a row that burn_note relies on' => "a table's name",
	'burn note exceeds %d bytes' => 'burn_note.max_note_size',
	q(burn note has characters that the client's encoding %s cannot show) => "an encoding's name",
	'burn_note requires PostgreSQL %d.%d or later' => 'a constant',
	'could not end more than %d burn notes' => 'a constant',
	'invalid input syntax for type %s' => "a type's name",
	'passphrase exceeds %d bytes' => 'a constant',
	'role "%s" may not have more than %d notes that wait to be read' => "a role's name, burn_note.max_pending",
	'row of burn note is damaged: %s' => 'in what way',
	'sweeping database "%s"' => "a database's name",
	'table "%s" is not as this version of burn_note made it' => "a table's name",
	'table "%s" of extension burn_note does not exist' => "a table's name",
	'table "%s" was rewritten by this transaction' => "a table's name",
);
my $string = qr/"(?:[^"\\]|\\.)*"/;
my (@formats, @variable);
foreach my $file (glob('*.c src/*.c src/*.h'))
{
	my $source = slurp_file($file);

	while ($source =~ /\b(err(?:msg|detail|hint|context)\w*|GUC_check_err\w+|elog)\(\s*((?:[A-Z]+,\s*)?)(?:($string(?:\s*$string)*)|(\S+))/g)
	{
		my ($function, $format, $other) = ($1, $3, $4);

		if (defined $format)
		{
			push @formats, join('', map { substr $_, 1, -1 } $format =~ /$string/g) =~ s/\\"/"/gr;
		}
		else
		{
			push @variable, "$file: $function($other";
		}
	}
}
cmp_ok(scalar @formats, '>', 80, 'the messages, details and hints in the source are found');
is(join("\n", @variable), '', 'each has a constant for its format');
is(join("\n", sort grep { /%/ && !exists $prints{$_} } @formats), '', 'what shows a value says here what it shows');
is(join("\n", sort grep { my $listed = $_; !grep { $_ eq $listed } @formats } keys %prints), '', 'and what is listed is in the source');

# Provoked, in each format of log
my $bytes = $node->safe_psql('postgres', q(SELECT burn_create_bytes('bytes')));
my $opaque = $node->safe_psql('postgres', q(SELECT burn_create('☃')));
foreach my $own (
	[ q(SELECT burn_read('secret')), 'UB001', 'invalid burn note token', 'A token has 60 characters, without spaces and the rest of a link. Was it cut short or altered?' ],
	[ q(SELECT burn_read(burn_receipt_token(burn_create('secret')))), 'UB001', 'invalid burn note token',
		q(This is a receipt token: it shows a note's status and cannot open it.) ],
	[ q(SELECT burn_create('secret', NULL, '')), '22023', 'passphrase must not be empty', 'NULL stands for no passphrase.' ],
	[ q(SELECT burn_create('secret', '-1 day')), '22023', 'expires_in must be greater than zero' ],
	[ q(SELECT burn_create('secret', '1000 days')), '22023', 'a burn note cannot live longer than 90d', 'The limit is the setting burn_note.max_ttl.' ],
	[ q(SELECT burn_create(NULL::text)), '22004', 'burn note must not be null' ],
	[ q(SET burn_note.max_note_size = 3; SELECT burn_create('secret')), '54000', 'burn note exceeds 3 bytes',
		'The limit is the setting burn_note.max_note_size.' ],
	[ q(SELECT burn_create('secret', NULL, repeat('secret', 200))), '54000', 'passphrase exceeds 1024 bytes', 'Its bytes are counted in UTF-8.' ],
	[ "SELECT burn_read('$bytes')", '22000', 'burn note holds bytes, not text', 'Read it with burn_read_bytes(). It is not burned.' ],
	[ "SET client_encoding = LATIN1; SELECT burn_read('$opaque')", '22P05',
		q(burn note has characters that the client's encoding LATIN1 cannot show), 'The note is not burned.' ],
	[ q(BEGIN; CLUSTER burn_note USING burn_note_pkey; SELECT burn_read(burn_create('secret'))), '55000',
		'table "burn_note" was rewritten by this transaction', 'If it rolled back, notes that are burned now would come back.', 'Commit first.' ],
	[ q(SET burn_note.max_pending = 1; SET ROLE regress_bounded; SELECT burn_create('secret'); SELECT burn_create('secret')), '53400',
		'role "regress_bounded" may not have more than 1 notes that wait to be read', 'The limit is the setting burn_note.max_pending.' ])
{
	my ($sql, $sqlstate, $message, @more) = @$own;
	my %log = logged($node, sub { $node->psql('postgres', $sql) });

	foreach my $format (sort keys %log)
	{
		my $text = $log{$format} =~ s/\\?"+/"/gr;    # each format quotes otherwise
		my @missing = grep { index($text, s/"+/"/gr) < 0 } $sqlstate, $message, @more;

		is(join("\n", @missing), '', "$format: $sqlstate $message: is logged whole");
		unlike($text, qr/secret|b[nr]1_\w/, "$format: and the statement's values are not");
	}
}

# ----------
# Messages in other languages, whose translations place and spell things otherwise
# ----------

my $locales = PostgreSQL::Test::Utils::tempdir();
my %cut = (ja_JP => 'ミリ秒', ru_RU => 'мс', de_DE => 'Dauer');    # what they say of a duration

SKIP:
{
	my @languages = grep {
		    $node->config_data('--configure') =~ /--enable-nls/
		  && system("localedef -i $_ -f UTF-8 $locales/$_.UTF-8 >/dev/null 2>&1") == 0
	} sort keys %cut;
	skip 'no messages in other languages, or no locales for them', 1 unless @languages;

	local $ENV{LOCPATH} = $locales;
	$node->restart;
	@languages = grep { $node->psql('postgres', "SET lc_messages = '$_.UTF-8'") == 0 } @languages;
	foreach my $redact ('off', 'on')
	{
		set_redact($node, $redact);
		foreach my $language (@languages)
		{
			my $note = "note in $language, 20 ms long";
			my %log = logged($node, sub { $node->psql('postgres', <<~SQL) });
				SET lc_messages = '$language.UTF-8';
				SET log_min_duration_statement = 0;
				SELECT burn_create('$note');
				SELECT burn_read(burn_create('$note'))::int;
				SQL
			my $log = join '', values %log;
			if ($redact eq 'off')
			{
				like($log, qr/$cut{$language}.*\Q$note\E/, "$language: redaction off, the control: the log is translated, and has the note");
				next;
			}
			unlike($log, qr/note in/, "$language: no note in what is translated");
			like($log, qr/duration: [\d.]+ ms  statement: SELECT burn_create\('\?'\);?$/m, "$language: durations have the shape");
			like($log, qr/ 22P02 (?!.*invalid input syntax).*%s.*%s/, "$language: errors have their translated format");
		}
	}

	# what the postmaster reports, in its language
	$node->append_conf('postgresql.conf', "lc_messages = '$languages[0].UTF-8'");
	$node->restart;
	my %log = logged($node, sub { crash_while($node, "SELECT pg_sleep(600), burn_create('note of a crash')") });
	unlike(join('', values %log), qr/note of a crash/, "$languages[0]: no note in the report of a crash");
	like($log{log}, qr/^\d+ 00000 DETAIL:  .*: SELECT pg_sleep\(\?\), burn_create\('\?'\)/m, "$languages[0]: but its statement's shape");
}

# ----------
# A full disk, which the operator has to see
# ----------

SKIP:
{
	my $disks = PostgreSQL::Test::Utils::tempdir();
	my $unshare = 'unshare --user --mount --map-current-user --keep-caps';

	skip 'this user may not mount a tmpfs', 1
	  if system("$unshare mount -t tmpfs -o size=1m none $disks 2>/dev/null") != 0;

	my $full = burn_node('full',
		init => { extra => [ '--encoding=UTF8', '--no-locale', '--wal-segsize=1' ] },
		conf => <<~'CONF');
			shared_preload_libraries = 'burn_note'
			burn_note.databases = ''
			restart_after_crash = off
			log_statement = all
			log_line_prefix = '%p %e '
			CONF
	$full->stop;

	# Two disks, which its processes see: the WAL's and a tablespace's
	my $wal = $full->data_dir . '/pg_wal';
	my $bindir = $full->config_data('--bindir');
	append_to_file("$disks/pg_ctl", <<~SH);
		#!/bin/sh
		exec $unshare sh -ec 'cp -a $wal $disks/wal
			mount -t tmpfs -o size=24m,mode=0700 none $wal
			cp -a $disks/wal/. $wal
			mkdir $disks/space
			mount -t tmpfs -o size=1m,mode=0700 none $disks/space
			exec $bindir/pg_ctl "\$@"' pg_ctl "\$@"
		SH
	chmod 0755, "$disks/pg_ctl";
	{
		local $ENV{PATH} = "$disks:$ENV{PATH}";
		$full->start;
	}
	$full->safe_psql('postgres', $_)
	  foreach "CREATE TABLESPACE small LOCATION '$disks/space'", 'ALTER TABLE burn_note SET TABLESPACE small',
	  'CREATE FUNCTION noise(bytes integer) RETURNS text LANGUAGE sql AS '
	  . q($$SELECT string_agg(md5(random()::text), '') FROM generate_series(1, bytes / 32)$$);

	my $log_end = -s $full->logfile;
	my $no_space = qr/No space left on device/;
	my ($status, $stdout, $stderr) = $full->psql('postgres', q(SELECT burn_create('on a full disk' || noise(2000000))));
	like($stderr, $no_space, 'a tablespace is full: the client is told');
	my $log = slurp_file($full->logfile, $log_end);
	like($log, qr/ 53100 ERROR:  could not extend file "\S+".*: $no_space/, 'the operator finds that in the log');
	like($log, qr/STATEMENT:  SELECT burn_create\('\?' \|\| noise\(\?\)\)/, 'with the shape of what ran');

	$full->psql('postgres', q(SET burn_note.redact = off; SELECT burn_create('the control' || noise(2000000))));
	like(slurp_file($full->logfile, $log_end), qr/$no_space\n.*\n.*STATEMENT:  SELECT burn_create\('the control'/, 'redaction off, the control: the note is there, too');

	# pg_wal is next, and the last
	$full->safe_psql('postgres', 'ALTER TABLE burn_note SET TABLESPACE pg_default');
	$full->psql('postgres', q(SELECT burn_create('on a full disk' || noise(900000)) FROM generate_series(1, 50)));
	$full->wait_for_log(qr/database system is shut down/, $log_end);
	$log = slurp_file($full->logfile, $log_end);
	like($log, qr/ 53100 PANIC:  could not write to file "pg_wal\S+": $no_space/, 'pg_wal is full: the operator finds why the server has stopped');
	unlike($log, qr/on a full disk/, 'no note is in the log of a full disk');
	$full->_update_pid(0);
}

done_testing();
