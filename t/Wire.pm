#
# PostgreSQL's wire protocol by hand: libpq always ends what it begins with a Sync, waits
# for what it asked, and psql cannot bind before PostgreSQL 16.
#
package Wire;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(query execute parse bind_parameters run flush sync call_function);

# A session of that role, or of the one that runs the tests.
sub new
{
	my ($class, $node, $role) = @_;
	my $self = bless { socket => $node->raw_connect }, $class;
	my $startup = pack '(Z*)4 x', user => $role // scalar getpwuid $>, database => 'postgres';

	vec(my $readable = '', fileno $self->{socket}, 1) = 1;
	$self->{readable} = $readable;
	$self->send(pack('NN', 8 + length $startup, 3 << 16) . $startup);
	my $answer = $self->answer;
	die "no connection: $answer->{error}" if defined $answer->{error};
	$self->{pid} = $answer->{pid};
	return $self;
}

sub message
{
	my ($type, $body) = @_;
	return $type . pack('N', 4 + length $body) . $body;
}

sub query
{
	my ($sql) = @_;
	return message('Q', "$sql\0");
}

# Parse, Bind and Execute of a statement with that name, '' for the unnamed one. The
# types of the parameters are the server's to infer.
sub execute
{
	my ($name, $sql, @parameters) = @_;
	return parse($name, $sql) . bind_parameters($name, @parameters) . run();
}

sub parse
{
	my ($name, $sql) = @_;
	return message('P', "$name\0$sql\0" . pack('n', 0));
}

# To the unnamed portal
sub bind_parameters
{
	my ($name, @parameters) = @_;
	return message('B', "\0$name\0" . pack('nn(N/a)' . @parameters . 'n', 0, scalar @parameters, @parameters, 0));
}

# Execute of the unnamed portal: so many rows of it, or all
sub run
{
	my ($rows) = @_;
	return message('E', "\0" . pack('N', $rows // 0));
}

# By its OID, the arguments as text; without a Sync
sub call_function
{
	my ($function, @arguments) = @_;
	return message('F', pack('Nnn(N/a)' . @arguments . 'n', $function, 0, scalar @arguments, @arguments, 0));
}

sub sync
{
	return message('S', '');
}

sub flush
{
	return message('H', '');
}

sub send
{
	my ($self, $messages) = @_;
	local $SIG{PIPE} = 'IGNORE';    # the reader will see that the server has hung up

	syswrite $self->{socket}, $messages;
	return;
}

# So many bytes, or undef if the server has closed the connection
sub receive
{
	my ($self, $bytes) = @_;
	my $received = '';

	while (length $received < $bytes)
	{
		select(my $ready = $self->{readable}, undef, undef, $PostgreSQL::Test::Utils::timeout_default)
		  or die 'the server does not answer';
		sysread($self->{socket}, $received, $bytes - length $received, length $received)
		  or return undef;
	}
	return $received;
}

# The two that a message begins with
sub receive_type
{
	my ($self) = @_;
	return $self->receive(1);
}

sub receive_length
{
	my ($self) = @_;
	my $length = $self->receive(4);
	return defined $length ? unpack('N', $length) - 4 : 0;
}

sub hang_up
{
	my ($self) = @_;
	close $self->{socket};
	return;
}

# Everything up to ReadyForQuery: rows, each a list of columns (COPY's lines too); error,
# all fields of an error in one string, and closed, if there was that.
sub answer
{
	my ($self) = @_;
	my %answer = (rows => []);

	for (;;)
	{
		my $type = $self->receive_type;
		my $body = $self->receive($self->receive_length);

		if (!defined $type || !defined $body)
		{
			$answer{closed} = 1;
			return \%answer;
		}
		return \%answer if $type eq 'Z';
		if ($type eq 'E')
		{
			$answer{error} = join "\n", map { substr $_, 1 } split /\0/, $body;
		}
		elsif ($type eq 'K')
		{
			$answer{pid} = unpack 'N', $body;
		}
		elsif ($type eq 'D')
		{
			push @{ $answer{rows} }, columns($body);
		}
		elsif ($type eq 'd')
		{
			push @{ $answer{rows} }, [$body];
		}
	}
}

sub columns
{
	my ($body) = @_;
	my $count = unpack 'n', $body;
	my $at = 2;
	my @columns;

	for (1 .. $count)
	{
		my $length = unpack 'l>', substr($body, $at, 4);
		$at += 4;
		push @columns, $length < 0 ? undef : substr($body, $at, $length);
		$at += $length if $length > 0;
	}
	return \@columns;
}

sub answer_to
{
	my ($self, $messages) = @_;

	$self->send($messages);
	return $self->answer;
}

# The first column of what a query answers; dies of an error
sub ask
{
	my ($self, $sql, @parameters) = @_;

	my $answer = $self->answer_to(@parameters ? execute('', $sql, @parameters) . sync() : query($sql));
	die $answer->{error} // 'the server has hung up' if defined $answer->{error} || $answer->{closed};
	return map { $_->[0] } @{ $answer->{rows} };
}

1;
