# Who comes over TCP is seen: receipts have the address of the connection beside the one
# that the caller claims. A fuse has room for one, the claimed one if there is one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('reached');

$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');

sub over_tcp
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql, connstr => 'host=127.0.0.1 dbname=postgres port=' . $node->port);
}

# client_ip|peer|whether the receipt verifies
sub witnessed
{
	my ($token) = @_;
	return $node->safe_psql('postgres',
		"SELECT client_ip, peer, burn_verify_receipt('$token') FROM burn_status('$token')");
}

my %claims = (
	nothing => { claim => 'NULL', receipt => '|127.0.0.1', fuse => '|127.0.0.1' },
	another => { claim => q('192.0.2.7'), receipt => '192.0.2.7|127.0.0.1', fuse => '192.0.2.7|' },
	the_same => { claim => q('127.0.0.1'), receipt => '127.0.0.1|', fuse => '127.0.0.1|' },
	a_network => { claim => q('127.0.0.1/8'), receipt => '127.0.0.1/8|127.0.0.1', fuse => '127.0.0.1/8|' });

foreach my $name (sort keys %claims)
{
	my ($claim, $receipt, $fuse) = @{ $claims{$name} }{qw(claim receipt fuse)};
	my ($read, $undone, $revoked) = map { create($node, "'note'") } 1 .. 3;

	is(over_tcp("SELECT burn_read('$read', $claim)"), 'note', "who claims $name reads a note");
	is(witnessed($read), "$receipt|t", "who_claims_$name\_is_seen_in_the_receipt");
	is(over_tcp("SELECT burn_revoke('$revoked', $claim)"), 't', "who claims $name revokes one");
	is(witnessed($revoked), "$receipt|t", "who_claims_$name\_is_seen_revoking");

	is(over_tcp("BEGIN; SELECT burn_read('$undone', $claim); ROLLBACK"), 'note', "who claims $name rolls back");
	is(witnessed($undone), "$fuse|t", "who_claims_$name\_is_seen_in_the_fuse");
	is($node->safe_psql('postgres', 'SELECT burn_purge()'), 1, 'the burn is finished, over no TCP');
	is(witnessed($undone), "$fuse|t", "who_claims_$name\_is_seen_in_the_receipt_of_a_finished_burn");
}

my $guessed = create($node, "'note', NULL, 'right'");
over_tcp("SELECT burn_read('$guessed', NULL, 'wrong'), burn_read('$guessed', '192.0.2.7', 'wrong')");
is($node->safe_psql('postgres', 'SELECT client_ip, peer FROM burn_attempt ORDER BY client_ip'),
	"192.0.2.7|127.0.0.1\n|127.0.0.1", 'who_guesses_is_seen');

my $local = create($node, "'note'");
is(answer_of($node, "SELECT burn_read('$local')"), 'note', 'who comes over a Unix socket reads a note');
is(witnessed($local), '||t', 'who_comes_over_a_Unix_socket_has_no_address');

$node->stop;
done_testing();
