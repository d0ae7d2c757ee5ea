# Sealed: no note, passphrase, token or receipt token is anywhere on the server's disk, in
# its WAL and its archive, in a base backup, in what logical decoding shows or in a dump.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use Forensics;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire;

my $node = new_node('everywhere', allows_streaming => 'logical', has_archiving => 1);

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'burn_note'");
$node->start;
$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION burn_note CASCADE;
	CREATE TABLE plain (secret text, bytes bytea);
	CREATE PUBLICATION everything FOR ALL TABLES;
	SELECT pg_create_logical_replication_slot('text', 'test_decoding');
	SELECT pg_create_logical_replication_slot('binary', 'pgoutput');
	SQL

my $session = Wire->new($node);
my %known;     # whose: ours or the control's, by the secrets
my %bytes;     # the same by what tokens are made of

sub belongs
{
	my ($whose, @secrets) = @_;

	foreach my $secret (@secrets)
	{
		$known{ known_by($secret) } = $whose;
		$bytes{ inner_secret($secret) } = $whose if $secret =~ /^b/;
	}
	return @secrets;
}

# 32 bytes behind the 7 for the expiry and the shard
sub inner_secret
{
	my ($token) = @_;
	return substr decode_base64(substr($token, 4) =~ tr{-_}{+/}r), 7, 32;
}

# ----------
# Lives of notes
# ----------

sub new_secret
{
	return (belongs('ours', secret($_[0])))[0];
}

sub new_note
{
	my ($expires_in, @passphrase) = @_ ? @_ : '1 day';
	my $arguments = join ', ', map { "\$$_" } 1 .. 2 + @passphrase;
	my ($token) = belongs('ours',
		$session->ask("SELECT burn_create($arguments)", new_secret('note'), $expires_in, @passphrase));

	belongs('ours', $session->ask('SELECT burn_receipt_token($1)', $token));
	return $token;
}

my $passphrase = new_secret('passphrase');
my $waits = new_note();
new_note('1 day', $passphrase);

$session->ask('SELECT burn_read($1, $2)', new_note(), '192.0.2.7') foreach 1 .. 10;
$session->ask('SELECT burn_revoke($1)', new_note());
new_note('1 ms');

my $locked = new_note('1 day', $passphrase);
$session->ask('SELECT burn_read($1, NULL, $2)', $locked, new_secret('passphrase'));
$session->ask('SELECT burn_read($1, NULL, $2)', $locked, $passphrase);

$session->ask('BEGIN');
$session->ask('SELECT burn_read($1)', new_note());
new_note();
$session->ask('ROLLBACK');

my $long = join ' ', map { new_secret('note') } 1 .. 5000;
my ($long_token) = belongs('ours', $session->ask('SELECT burn_create($1)', $long));
is(($session->ask('SELECT burn_read($1)', $long_token))[0], $long, 'a_long_note_is_read');

my ($bytes_token) = belongs('ours', $session->ask('SELECT burn_create_bytes($1)', '\x' . unpack 'H*', new_secret('note')));
$session->ask('SELECT burn_verify_receipt($1)', $bytes_token);
$session->ask('SELECT burn_read_bytes($1)', $bytes_token);

$session->ask('SELECT burn_purge()');
my ($in_hex) = $session->ask(q{SELECT encode(sealed, 'hex') FROM burn_note WHERE id = burn_note_id($1)}, $waits);
my $sealed = pack 'H*', $in_hex;

# The control is not sealed.
foreach my $secret (belongs('control', map { secret($_) } 'note', 'passphrase', 'token', 'receipt token'))
{
	my $bytes = $secret =~ /^b/ ? inner_secret($secret) : '';
	$session->ask('INSERT INTO plain VALUES ($1, $2)', $secret, '\x' . unpack 'H*', $bytes);
}

# ----------
# The places
# ----------

my %places;

$session->ask('ANALYZE');
$session->ask('VACUUM');
$session->ask('CHECKPOINT');
$node->backup('backup');
$places{'a base backup'} = $node->backup_dir;

my $copies = PostgreSQL::Test::Utils::tempdir();
append_to_file("$copies/decoded as text",
	join "\n", $session->ask(q{SELECT data FROM pg_logical_slot_peek_changes('text', NULL, NULL)}));
append_to_file("$copies/decoded by pgoutput",
	join "\n", map { pack 'H*', substr $_, 2 } $session->ask(q{SELECT data FROM pg_logical_slot_peek_binary_changes('binary', NULL, NULL,
		'proto_version', '1', 'publication_names', 'everything')}));
$node->command_ok([ 'pg_dump', '--format', $_, '--compress', 0, '--file', "$copies/pg_dump $_", $node->connstr('postgres') ],
	"pg_dump $_") foreach 'plain', 'custom';
$places{$_} = "$copies/$_" foreach 'decoded as text', 'decoded by pgoutput', 'pg_dump plain', 'pg_dump custom';

$session->ask('SELECT pg_switch_wal()');
$node->stop;
$places{'the data directory'} = $node->data_dir;
$places{'its WAL'} = $node->data_dir . '/pg_wal';
$places{'its tables'} = $node->data_dir . '/base';
$places{'the archive'} = $node->archive_dir;

my $inner_secrets = join '|', map { (quotemeta, unpack 'H*', $_) } sort keys %bytes;
$inner_secrets = qr/($inner_secrets)/;
foreach my $place (sort keys %places)
{
	my %found;
	my $ciphertext = 0;

	in_files(
		$places{$place},
		sub {
			my ($path, $content) = @_;

			find_secrets($content, \%known, sub { $found{ $_[0] // 'unknown' }{$_[1]}++ });
			while ($$content =~ /$inner_secrets/g)
			{
				$found{ $bytes{$1} // $bytes{ pack 'H*', $1 } }{'inner secret'}++;
			}
			$ciphertext++ if index($$content, $sealed) >= 0 || index($$content, $in_hex) >= 0;
		});

	is(join(', ', sort keys %{ $found{control} }), 'inner secret, note, passphrase, receipt token, token',
		"control_in_$place");
	is(join(', ', map { %{ $found{$_} } } grep { $_ ne 'control' } sort keys %found), '', "no_secret_in_$place");

	# the note is there, sealed; but a dump has none
	is($ciphertext > 0, $place !~ /^pg_dump/, "ciphertext_in_$place") if $place ne 'its WAL';
}

done_testing();
