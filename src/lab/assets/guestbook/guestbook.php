<?php
// The guestbook's one script. It answers as the sample's does (GoogleCloudPlatform/kubernetes-engine-samples,
// quickstarts/guestbook/php-redis/guestbook.php): one key for everyone, the value between quotes as it is, and no
// parameter but cmd and value. Each request makes a client of its own, so a name is looked up every time.
error_reporting(E_ALL);
ini_set('display_errors', '1');

require 'Predis/Autoloader.php';
Predis\Autoloader::register();

function redis($role)
{
    $host = getenv('GET_HOSTS_FROM') == 'env'
        ? getenv('REDIS_' . strtoupper($role) . '_SERVICE_HOST')
        : "redis-$role";
    return new Predis\Client(['scheme' => 'tcp', 'host' => $host, 'port' => 6379]);
}

if (!isset($_GET['cmd'])) {
    phpinfo();
    return;
}
header('Content-Type: application/json');
if ($_GET['cmd'] == 'set') {
    redis('leader')->set('guestbook', $_GET['value']);
    print '{"message": "Updated"}';
} else {
    print '{"data": "' . redis('follower')->get('guestbook') . '"}';
}
