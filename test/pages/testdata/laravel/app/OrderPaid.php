<?php
namespace App;

use Illuminate\Broadcasting\{Channel, InteractsWithSockets, PresenceChannel, PrivateChannel};

class OrderPaid implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast
{
    use InteractsWithSockets;

    public $order = 7;

    public function broadcastOn()
    {
        return [new PrivateChannel('orders.7'), new PresenceChannel('room.1'), new PrivateChannel('orders.8'), new Channel('orders')];
    }
}
