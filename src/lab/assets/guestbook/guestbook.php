<?php
// The guestbook's one script: cmd=set writes to the leader, cmd=get reads from a follower. Each request makes a
// client of its own, so a name is looked up every time and an error is the request's own.
declare(strict_types=1);

require_once 'Predis/Autoloader.php';
Predis\Autoloader::register();

function redis(string $role): Predis\Client
{
    $host = getenv('GET_HOSTS_FROM') === 'env'
        ? (string) getenv('REDIS_' . strtoupper($role) . '_SERVICE_HOST')
        : "redis-$role";
    return new Predis\Client(['scheme' => 'tcp', 'host' => $host, 'port' => 6379]);
}

if (!isset($_GET['cmd'])) {
    phpinfo();
    return;
}
header('Content-Type: application/json');
$key = (string) ($_GET['key'] ?? 'guestbook');
if ($_GET['cmd'] === 'set') {
    redis('leader')->set($key, (string) ($_GET['value'] ?? ''));
    echo '{"message": "Updated"}';
} else {
    $value = redis('follower')->get($key);
    echo '{"data": ', json_encode($value ?? ''), '}';
}
