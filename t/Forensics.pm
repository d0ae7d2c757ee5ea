#
# Looks for secrets wherever a server puts bytes.
#
# A secret is four characters that tell its kind and what nobody could guess: tokens and
# receipt tokens are like that, and notes and passphrases of secret(). The search looks
# for the four in every encoding, decodes what follows, and asks whether it knows that.
#
package Forensics;

use strict;
use warnings;

use Encode qw(encode);
use Exporter 'import';
use File::Find ();
use List::Util qw(max);
use MIME::Base64 qw(encode_base64 decode_base64);

our @EXPORT = qw(secret secrets_in known_by find_secrets in_files in_every_encoding);

use constant {
	KNOWN_BY => 24,      # characters of a secret
	LONGEST => 200,      # bytes that a secret takes, in any encoding
	PART => 1 << 20,     # bytes of a file that are looked at together
};

my %kind = (bn1_ => 'token', br1_ => 'receipt token', mn1_ => 'note', mp1_ => 'passphrase');
my $shape = qr/(?:bn1_|br1_)[\w-]{56}|(?:mn1_|mp1_)[[:alnum:]]{24}/;
my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9);

# How each encoding writes bytes, and reads them from the beginning of a string
my %encodings = (
	raw => [ sub { $_[0] }, sub { $_[0] } ],
	hex => [ sub { unpack 'H*', $_[0] }, \&from_hex ],
	'upper-case hex' => [ sub { uc unpack 'H*', $_[0] }, \&from_hex ],
	'UTF-16LE' => [ sub { encode('UTF-16LE', $_[0]) }, sub { $_[0] =~ tr/\0//dr } ],
	'UTF-16BE' => [ sub { encode('UTF-16BE', $_[0]) }, sub { $_[0] =~ tr/\0//dr } ],
	'decimal list' => [ sub { join ' ', unpack 'C*', $_[0] }, \&from_decimals ],
	'decimal list with commas' => [ sub { join ', ', unpack 'C*', $_[0] }, \&from_decimals ],
	'decimal list in lines' => [ sub { join "\n", unpack 'C*', $_[0] }, \&from_decimals ],
	'decimal list in lines in JSON' => [ sub { join '\n', unpack 'C*', $_[0] }, \&from_decimals ],
);

# Base64 writes three bytes as four characters. So there are three ways to begin, and a
# character that holds a neighbour's bits is not ours.
foreach my $before (0 .. 2)
{
	my $foreign = (0, 2, 3)[$before];

	$encodings{"base64 at offset $before"} = [
		sub { substr encode_base64(('-' x $before) . $_[0], ''), $foreign, int((8 * ($before + length $_[0])) / 6) - $foreign },
		sub { substr decode_base64(('A' x $foreign) . $_[0]), $before },
	];
}

# What each way to write a kind's four characters means. The space between decimals may
# be any.
my $space = qr/(?:[\s,]|\\n)+/;
my %meaning;
foreach my $name (keys %encodings)
{
	$meaning{ $encodings{$name}[0]->($_) } = [ $_, $name ] foreach keys %kind;
}
my $signs = join '|', map { quotemeta } grep { !/\d$space/ } sort keys %meaning;
my $decimal_signs = join '|', map { join $space, unpack 'C*' } sort keys %kind;

sub from_hex
{
	my ($digits) = $_[0] =~ /^((?:[[:xdigit:]]{2})+)/;
	return pack 'H*', $digits;
}

sub from_decimals
{
	my ($list) = $_[0] =~ /^((?:\d+(?:$space|$))*)/;
	return pack 'C*', grep { $_ < 256 } $list =~ /\d+/g;
}

# A random secret of that kind: a note, a passphrase, or what looks like a token
sub secret
{
	my ($wanted) = @_;
	my ($mark) = grep { $kind{$_} eq $wanted } keys %kind;
	return $mark . join '', map { $letters[ rand @letters ] } 1 .. ($mark =~ /^b/ ? 56 : 24);
}

# All that have the shape of one, as they stand in a text
sub secrets_in
{
	my ($text) = @_;
	return $text =~ /$shape/g;
}

# A secret, and more, in each encoding
sub in_every_encoding
{
	my ($secret) = @_;
	my %as;

	foreach my $name (keys %encodings)
	{
		my $before = $name =~ /offset (\d)/ ? $1 : 0;
		$as{$name} = $name =~ /base64/
		  ? encode_base64(('-' x $before) . "$secret, and more", '')
		  : '<' . $encodings{$name}[0]->($secret) . '>';
	}
	return %as;
}

# What find_secrets() knows a secret by
sub known_by
{
	my ($secret) = @_;
	return substr $secret, 0, KNOWN_BY;
}

# Calls found(name, kind, encoding) for each secret in the bytes. known has their names,
# by known_by(); the name of one that is not there is undef.
sub find_secrets
{
	my ($bytes, $known, $found) = @_;

	foreach my $sign ($signs, $decimal_signs)
	{
		while ($$bytes =~ /$sign/g)
		{
			my $at = $-[0];
			my ($mark, $encoding) = @{ $meaning{ substr($$bytes, $at, $+[0] - $at) =~ s/$space/ /gr } };
			my $decoded = $encodings{$encoding}[1]->(substr $$bytes, $at, LONGEST);
			my $secret = $mark . substr $decoded, length $mark;
			my $name = $known->{ known_by($secret) };

			$found->($name, $kind{$mark}, $encoding) if defined $name || $secret =~ /^$shape/;
		}
	}
	return;
}

# Calls look(path, reference to bytes) for every part of every file below a directory. Two
# parts of a file have in common what a secret may take.
sub in_files
{
	my ($directory, $look) = @_;

	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub {
				my $path = $File::Find::name;
				return unless -f $path;
				open(my $file, '<:raw', $path) or return;    # removed meanwhile
				my $last = '';
				while (sysread $file, my $part, PART)
				{
					my $bytes = $last . $part;
					$look->($path, \$bytes);
					$last = substr $bytes, max(0, length($bytes) - LONGEST);
				}
				close $file;
			},
		},
		$directory);
	return;
}

1;
