<?php
namespace App;

use Illuminate\Broadcasting\{Channel, InteractsWithSockets, PrivateChannel};

class OrderShipped implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast
{
    use InteractsWithSockets;

    public $order = 7;

    public function broadcastOn()
    {
        return [new Channel('shop'), new PrivateChannel('orders.7'), new PrivateChannel('orders.8')];
    }
}
