# What the server stores and answers, opened and recomputed by test/vectors.py, which
# shares no code with it.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;

use BurnNote ();
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $vectors = abs_path(dirname(__FILE__) . '/../test/vectors.py');
my $fuse_at = 24;    # in the tuple: behind id 16 and created_at 8
my $fuse_bytes = 44;
my $half_bytes = 32;

plan skip_all => "$vectors does not run: it needs python3-nacl and libgcrypt20"
  if system("/usr/bin/python3 '$vectors' >/dev/null 2>&1") != 0 && !defined $ENV{BURN_STAGE};

# Strings here are bytes: UTF-8, as the server gets and sends them
$ENV{PGCLIENTENCODING} = 'UTF8';

my $node;    # the server that the functions below ask

# Starts $node, with the settings of $ENV{TEMP_CONFIG}
sub start
{
	my ($name) = @_;
	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', 'burn_note.shard = 7');
	$node->start;
	for my $database (qw(utf8 latin1))
	{
		$node->safe_psql('postgres',
			"CREATE DATABASE $database ENCODING $database LOCALE 'C' TEMPLATE template0");
		$node->safe_psql($database,
			'CREATE EXTENSION burn_note CASCADE; CREATE EXTENSION pageinspect');
	}
}

# What vectors.py --$mode prints for these fields, or undef if it refuses
sub vectors
{
	my ($mode, %fields) = @_;
	my $input = join '', map { "$_ = $fields{$_}\n" } sort keys %fields;
	my ($output, $complaint);
	my $done =
	  run [ '/usr/bin/python3', $vectors, "--$mode" ], '<', \$input, '>', \$output, '2>', \$complaint;
	note $complaint if $complaint;
	return $done ? $output : undef;
}

# A note's row as it lies in its page: the fields for --open
sub raw_row
{
	my ($database, $token) = @_;
	my $row = $node->safe_psql($database, qq{
		SELECT (SELECT oid FROM pg_database WHERE datname = current_database()),
			('x' || encode(timestamptz_send(created_at), 'hex'))::bit(64)::bigint,
			encode(substr(t_data, $fuse_at + 1, $fuse_bytes), 'hex'),
			encode(sealed, 'hex')
		FROM (SELECT *, ctid::text::point AS place FROM burn_note) AS note,
			heap_page_items(get_raw_page('burn_note', place[0]::integer))
		WHERE id = burn_note_id('$token') AND lp = place[1]});
	my %row;
	@row{qw(database created_at fuse sealed)} = split /\|/, $row;
	return (token => $token, %row);
}

# A note's receipt as it is stored: the fields for --derive, and the seal
sub receipt
{
	my ($database, $token) = @_;
	my $row = $node->safe_psql($database, qq{
		SELECT outcome, ('x' || encode(timestamptz_send(created_at), 'hex'))::bit(64)::bigint,
			('x' || encode(timestamptz_send(closed_at), 'hex'))::bit(64)::bigint,
			coalesce(client_ip::text, 'none'), encode(seal, 'hex')
		FROM burn_receipt
		WHERE id = burn_note_id('$token')});
	my %row;
	@row{qw(outcome created_at closed_at client_ip seal)} = split /\|/, $row;
	return (token => $token, %row);
}

# Creates a note and returns its token
sub create
{
	my ($database, $note) = @_;
	return $node->safe_psql($database, "SELECT burn_create('$note')");
}

# Whether the pages of burn_note hold these bytes, in hex
sub in_pages
{
	my ($database, $hex) = @_;
	return $node->safe_psql($database, qq{
		SELECT coalesce(bool_or(position('\\x$hex'::bytea IN get_raw_page('burn_note', page::integer)) > 0), false)
		FROM generate_series(0, pg_relation_size('burn_note') / current_setting('block_size')::integer - 1) AS page});
}

my @cases = (
	# database, name, note, client_ip
	[ 'utf8', 'no bytes', '', undef ],
	[ 'utf8', 'ASCII text', 'burn after reading', '192.0.2.7/32' ],
	[ 'utf8', 'non-ASCII text', 'Grüße, 火 and 🔥', '198.51.100.0/24' ],
	[ 'utf8', '5000 bytes, out of line', 'abcde' x 1000, '2001:db8::7/128' ],
	[ 'latin1', 'text in a LATIN1 database', 'Grüße', '2001:db8:a::/48' ]);

start('main');
for my $case (@cases)
{
	my ($database, $name, $note, $client_ip) = @$case;
	my $token = create($database, $note);
	my %row = raw_row($database, $token);

	is(vectors('open', %row), $note, "$name: Python opens the row");
	is(vectors('open', %row, database => $row{database} + 1),
		undef, "$name: not as another database's");

	my $client_ip_sql = defined $client_ip ? "'$client_ip'" : 'NULL';
	is($node->safe_psql($database, "SELECT burn_read('$token', $client_ip_sql)"),
		$note, "$name: so does the server");

	my %receipt = receipt($database, $token);
	my $derived = vectors('derive', %receipt);
	my $answered = $node->safe_psql($database, qq{
		SELECT 'receipt_token = ' || burn_receipt_token('$token') || E'\\nnote_id = ' || burn_note_id('$token')});
	is($receipt{client_ip}, $client_ip // 'none', "$name: the receipt tells the address");
	is($derived, "$answered\nseal = $receipt{seal}\n",
		"$name: Python computes receipt token, id and seal");
}

# Text and bytes, with a passphrase and without: in hex, what SQL calls and what it gives.
# In the LATIN1 database the passphrase must be hashed as UTF-8 all the same.
my $phrase = 'Schlüssel';
my $phrase_hex = unpack 'H*', $phrase;
my $all_bytes = unpack 'H*', pack 'C*', map { $_ % 256 } 0 .. 999;
my @sealed_notes = (
	# database, name, creating function, reading function, the note in hex, its passphrase
	[ 'utf8', 'text with a passphrase', 'burn_create', 'burn_read', unpack('H*', 'Grüße, 火'), $phrase ],
	[ 'latin1', 'LATIN1 with a passphrase', 'burn_create', 'burn_read', unpack('H*', 'Grüße'), $phrase ],
	[ 'utf8', 'bytes', 'burn_create_bytes', 'burn_read_bytes', $all_bytes, undef ],
	[ 'latin1', 'bytes with a passphrase', 'burn_create_bytes', 'burn_read_bytes', $all_bytes, $phrase ]);

for my $case (@sealed_notes)
{
	my ($database, $name, $create, $read, $hex, $passphrase) = @$case;
	my $is_text = $create eq 'burn_create';
	my $note = $is_text ? "convert_from('\\x$hex', 'UTF8')" : "'\\x$hex'";
	my $passphrase_sql = defined $passphrase ? "'$passphrase'" : 'NULL';
	my $token = $node->safe_psql($database, "SELECT $create($note, NULL, $passphrase_sql)");
	my %row = raw_row($database, $token);
	my %right = defined $passphrase ? (passphrase => $phrase_hex) : ();

	is(unpack('H*', vectors('open', %row, %right)), $hex, "$name: Python opens the row");
	is(vectors('open', %row, passphrase => unpack('H*', 'another')), undef, "$name: not with another passphrase");
	is(vectors('open', %row), undef, "$name: not without") if defined $passphrase;

	my $sql = $is_text ? 'convert_to(%s, $$UTF8$$)' : '%s';
	is( $node->safe_psql($database,
			sprintf "SELECT encode($sql, 'hex')", "$read('$token', NULL, $passphrase_sql)"),
		$hex, "$name: so does the server");
}

# Creates a note, reads it and rolls back: its row before and after
sub roll_back_a_read
{
	my $token = create('utf8', 'rolled back');
	my %before = raw_row('utf8', $token);
	is(vectors('open', %before), 'rolled back', 'before the read, Python opens the row');
	is($node->safe_psql('utf8', "BEGIN; SELECT burn_read('$token', '203.0.113.9'); ROLLBACK"),
		'rolled back', 'the note is read, the transaction rolled back');
	my %after = raw_row('utf8', $token);
	is($after{sealed}, $before{sealed}, 'the row is still there');
	return (\%before, \%after);
}

# Where the live fuse's key half starts, in its hex
my $half_at = 2 * ($fuse_bytes - $half_bytes);

my ($before, $after) = roll_back_a_read();
is(vectors('open', %$before, token => create('utf8', 'another')), undef, 'another token does not open it');
is(vectors('open', %$after), undef, 'rollback_does_not_unburn: Python cannot open it');
is(in_pages('utf8', substr $before->{fuse}, $half_at), 'f', 'the half is nowhere in the table');

# A lit fuse's bytes 2 and 3 are family and mask, the last 32 address and seal
is(substr($after->{fuse}, 4, 4) . substr($after->{fuse}, $half_at, 32),
	'0420' . 'cb007109' . '0' x 24, 'the tombstone tells the address');
my $closed_at = $node->safe_psql('utf8', qq{
	SELECT ('x' || encode(timestamptz_send(closed_at), 'hex'))::bit(64)::bigint
	FROM burn_status('$after->{token}')});
my $seal = substr $after->{fuse}, -32;
like(
	vectors('derive', %$after, outcome => 'r', closed_at => $closed_at, client_ip => '203.0.113.9'),
	qr/^seal = $seal$/m, 'Python computes the seal in the tombstone');
$node->stop;

# The control: without the fuse the rollback leaves what opens the note
SKIP:
{
	skip 'no control build', 5 unless defined $ENV{BURN_NO_FUSE_STAGE};
	local $ENV{TEMP_CONFIG} = "$ENV{BURN_NO_FUSE_STAGE}/server.conf";
	start('no_fuse');
	($before, $after) = roll_back_a_read();
	is(vectors('open', %$after), 'rolled back', 'control: Python opens it again');
	is(in_pages('utf8', substr $before->{fuse}, $half_at), 't', 'control: the half is in the table');
	$node->stop;
}

done_testing();
